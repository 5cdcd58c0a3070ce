//! The only wasmtime: plugins run here, bounded in every direction, and reach the world through one door.
//!
//! Responsible for compiling and instantiating plugins, for checking, announcing, performing and recording every host
//! call, and for answering calls from the journal or from a plan's overlay. Does not know what a run does next.

mod acting;
mod address;
mod bindings;
mod budget;
mod call;
mod calls;
mod checks;
mod context;
mod door;
pub mod embedded;
mod engine;
mod grants;
mod halt;
mod held;
mod instance;
pub mod limits;
mod losses;
mod memory;
mod overlay;
mod patience;
mod plugin;
mod quota;
#[cfg(test)]
mod refusals;
mod secret;
mod seen;
mod signal;
mod supposing;
mod way_back;
mod world;

pub use budget::Budgets;
pub use call::Trouble;
pub use context::{Control, Ledger, LocalChanges, Mode, RunContext, RunParts, Stop};
pub use door::Site;
pub use engine::{Error, Wasm};
pub use halt::HaltSwitch;
pub use held::{STALE, changed, lasting};
pub use instance::{Attempt, Performed, perform};
pub use overlay::{ImaginedWrite, Overlay, PlannedSecret};
pub use plugin::{OFFERED, PLAIN_TEXT, Plugin, describe};
pub use quota::Quota;
pub use world::World;
