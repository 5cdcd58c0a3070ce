//! What is done before anything else: memory that may hold secrets is never written to a core file, and what a panic says
//! is scrubbed like everything else.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;
use std::panic::PanicHookInfo;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::context::Context;
use crate::model::text::for_terminal;
use crate::secrets::scrub;

/// For the rest of this process.
pub(super) fn up() {
    // A limit of nothing stops core files; handlers that the kernel pipes them to are stopped by the second alone, which also
    // closes the memory and the environment to other processes of the same user.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    let closed = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    std::panic::set_hook(Box::new(tell));
    if let Err(error) = limited.and(closed) {
        let _ = writeln!(std::io::stderr(), "warning: cannot switch core dumps off: {error}");
    }
}

/// Learns the value of every secret, so that none is printed. Without a key there is none to print.
pub(super) fn learn(context: &Context) {
    // A mistake in the settings is told by the command.
    let Ok(keeper) = context.keeper() else { return };
    // What was recorded is scrubbed already: for that alone no `list` takes a second. An engine learns before its first run.
    if keeper.is_slow() {
        return;
    }
    if let Err(error) = keeper.learn_all() {
        tracing::debug!(%error, "not every secret is known to the scrubber");
    }
}

/// As the standard library tells it, scrubbed.
fn tell(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
    // Whoever panics may hold what is known: then nobody can tell whether the words may be said.
    let said = panic.payload_as_str().unwrap_or_default();
    let said = scrub::text_at_once(said).unwrap_or("(what it said cannot be shown)".into());
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => format!("stack backtrace:\n{backtrace}"),
        _ => String::new(),
    };
    let said = for_terminal(&said);
    let _ = write!(std::io::stderr(), "\nthread '{name}' panicked{place}:\n{said}\n{backtrace}");
}
