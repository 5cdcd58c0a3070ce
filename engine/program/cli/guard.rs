//! What is done before anything else: memory that may hold secrets is never written to a core file, and what a panic says
//! is scrubbed like everything else.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;
use std::panic::PanicHookInfo;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::context::Context;
use secrets::scrub;
use words::text::for_terminal;

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

/// The same for a command that shows what comes from containers and servers: it takes the time that a passphrase needs, and
/// warns where the values cannot be known.
pub(super) fn learn_whole(context: &Context) {
    warn_if_blind(context, "shown");
    let Ok(keeper) = context.keeper() else { return };
    if let Err(error) = keeper.learn_all() {
        tracing::debug!(%error, "not every secret is known to the scrubber");
    }
}

/// The value of a secret that cannot be opened cannot be taken out of what is `done` with the texts that hold it.
pub(super) fn warn_if_blind(context: &Context, done: &str) {
    let Some(why) = context.keeper().ok().and_then(|keeper| keeper.blind()) else { return };
    context.out.warning(&format!(
        "the secrets cannot be opened, so that a value which something prints is {done} as it is: {why}"
    ));
    if let Some(way_out) = why.way_out() {
        context.out.hint(way_out);
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
