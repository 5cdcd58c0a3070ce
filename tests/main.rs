//! End to end: the built binary against a real Docker daemon, real databases, real signals. And the rules of the house.

mod support;

mod at_once;
mod audit;
mod away;
#[path = "away/quick.rs"]
mod away_quick;
mod bounds;
mod canary;
mod copy;
mod corpus;
mod crash;
mod cure;
mod dependents;
mod disk;
mod docs;
mod emergency;
mod ended;
#[path = "ended/quick.rs"]
mod ended_quick;
mod endings;
mod forged;
mod grants;
mod handles;
mod hidden;
mod hostile;
mod input;
mod journals;
mod looking;
mod neighbours;
mod output;
mod overdue;
mod people;
mod plan;
mod planted;
mod quota;
mod replay;
mod restart;
mod safe_point;
mod secret;
mod set_aside;
mod suspended;
mod sweep;
#[path = "sweep/quick.rs"]
mod sweep_quick;
mod tamper;
mod terminals;
mod tidy;
mod undo;
mod validate;
mod version_0_1;
