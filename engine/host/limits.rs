//! Every limit on a plugin, by name. What is over a limit fails that attempt and nothing else.

/// Linear memory of one instance, bytes.
pub const MAX_MEMORY_BYTES: usize = 64 << 20;
/// Linear memory of all instances together, bytes; the first [`FREE_MEMORY_BYTES`] of each are not counted.
pub const MAX_ALL_MEMORY_BYTES: usize = 512 << 20;
/// What each instance may have whatever the others have, bytes: the shipped plugins need no more.
pub const FREE_MEMORY_BYTES: usize = 2 << 20;
/// Attempts of plugins under way at once in one engine; more wait their turn.
pub const MAX_ATTEMPTS: u32 = 1_000;
/// Elements of one table.
pub const MAX_TABLE_ELEMENTS: usize = 20_000;
/// Core instances of one component: the SDK's have three, a JavaScript engine thirteen, a Python 38.
pub const CORE_INSTANCES: u32 = 48;
/// Tables of one component: the SDK's have two.
pub const TABLES: u32 = 3;
/// Linear memories of one component.
pub const MEMORIES: u32 = 3;
/// Memory, tables and stack that a place in the pool keeps for the next attempt, cleared, bytes each.
pub const KEPT_MEMORY_BYTES: usize = 1 << 20;
/// See [`KEPT_MEMORY_BYTES`].
pub const KEPT_TABLE_BYTES: usize = 8 << 10;
/// See [`KEPT_MEMORY_BYTES`].
pub const KEPT_STACK_BYTES: usize = 32 << 10;
/// Fuel of one attempt: about one unit an instruction. Ten billion are some ten seconds of pure computation.
pub const FUEL: u64 = 10_000_000_000;
/// What the host may copy for one guest, in bytes of lists and strings lifted, per host call: an artifact and its name.
pub const HOSTCALL_FUEL: usize = MAX_ARTIFACT_BYTES + (1 << 20);
/// Resource handles alive at once.
pub const MAX_HANDLES: usize = 1_000;
/// Secrets that one host call may put somewhere, in each kind of place.
pub const MAX_SECRETS: usize = 16;
/// Native stack of a guest, bytes.
pub const MAX_STACK_BYTES: usize = 512 << 10;
/// Length of one tick of the epoch that lets a busy guest yield, milliseconds.
pub const TICK_MS: u64 = 5;
/// Host calls of one attempt.
pub const MAX_CALLS: u32 = 10_000;
/// The arguments of one host call as JSON, bytes: a body of a request with many of its bytes escaped, and room around it.
pub const MAX_ARGUMENT_BYTES: usize = 4 << 20;
/// What one attempt may have written down: arguments, answers and artifacts of all its calls, bytes.
pub const MAX_RECORDED_BYTES: usize = 32 << 20;
/// JSON text of a step's input or output, bytes.
pub const MAX_JSON_BYTES: usize = 1 << 20;
/// Log lines, and reports of progress, of one attempt, each; lines over it are counted, not kept.
pub const MAX_LINES: usize = 1_000;
/// One log line, bytes.
pub const MAX_LINE_BYTES: usize = 4 << 10;
/// A component's bytes.
pub const MAX_COMPONENT_BYTES: usize = 16 << 20;
/// What one read of the world may take where the call itself sets no time, milliseconds.
pub const READ_DEADLINE_MS: u64 = 30_000;
/// What a host call may take beyond the time it was asked to take, milliseconds.
pub const CALL_MARGIN_MS: u64 = 15_000;
/// How long a daemon that is away is waited for before a look fails, or the run is left because nothing can be established,
/// milliseconds. While something is down that the step took down, until the step's time is over if that is later.
pub const PATIENCE_MS: u64 = 20_000;
/// How long a daemon that answers is asked again about something that it fails at (5xx), milliseconds.
pub const ANSWERED_PATIENCE_MS: u64 = 2_000;
/// The longest `clock.sleep`, milliseconds.
pub const MAX_SLEEP_MS: u64 = 60_000;
/// The longest `containers.wait-until`, milliseconds.
pub const MAX_WAIT_MS: u64 = 3_600_000;
/// The longest grace of a stop, milliseconds.
pub const MAX_GRACE_MS: u64 = 600_000;
/// The longest stop timeout of its own that a container is waited for, milliseconds.
pub const MAX_OWN_GRACE_MS: u64 = 3_600_000;
/// The longest pause that a plugin may ask for before its step is tried again, milliseconds.
pub const MAX_RETRY_AFTER_MS: u64 = 3_600_000;
/// The body of a request or a response, bytes; a response is cut there.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// One value of state, bytes.
pub const MAX_STATE_BYTES: usize = 64 << 10;
/// One artifact, bytes.
pub const MAX_ARTIFACT_BYTES: usize = 16 << 20;
/// Keys listed at once.
pub const MAX_STATE_KEYS: usize = 1_000;
/// What a plugin may take to describe itself, milliseconds.
pub const MAX_DESCRIBE_MS: u64 = 5_000;
/// What one step may take in a plan or a replay, real milliseconds.
pub const MAX_SIMULATION_MS: u64 = 60_000;
/// How much longer than its grace a stop may take before it counts as not under way, milliseconds.
pub const STOP_SLACK_MS: u64 = 5_000;
