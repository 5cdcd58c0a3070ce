//! One file per interface of the contract. Each function becomes a [`Call`](super::call::Call) and passes the door.

pub(super) mod clock;
pub(super) mod container_changes;
pub(super) mod container_probes;
pub(super) mod container_reads;
pub(super) mod containers;
pub(super) mod contract_0_1;
pub(super) mod http;
pub(super) mod http_secrets;
pub(super) mod notes;
pub(super) mod secrets;
pub(super) mod state;
