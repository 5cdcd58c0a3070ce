//! One attempt of a plugin's step: a fresh store, bounded in every direction, dropped afterwards.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, Trap, UpdateDeadline};

use super::bindings::exports::runbook::step::step::{Context, StepType};
use super::bindings::runbook::types::types as wit;
use super::call::Call;
use super::context::{Mode, RunContext, Stop};
use super::door::{Door, Site};
use super::engine::{Wasm, first_line};
use super::limits;
use super::memory::{Pool, Share, UsedUp};
use super::plugin::Plugin;
use super::secret::SecretRef;
use run::event::{MAX_KEPT_LINES, Outcome};
use run::state::RecordedCall;
use secrets::scrub;
use words::clock::{self, Deadline};
use words::effect::{Failure, FailureKind};
use words::json::{self, Unreadable};

/// What a plugin sees in a plan where the text of a secret would be.
const PLANNED_TEXT: &str = "planned";

/// What a store holds.
pub(super) struct Guest {
    /// None while a plugin describes itself: then every import traps.
    door: Option<Door>,
    memory: Share,
    stop: Option<Stop>,
    /// Why the attempt is ended, if it took more than it may.
    overspent: Option<Failure>,
    calls: u32,
    /// Of arguments, answers and artifacts so far.
    recorded_bytes: usize,
    lines: Vec<String>,
    lines_dropped: usize,
    reports: usize,
    deadline: Deadline,
    /// What the plugin's handles of secrets stand for.
    handles: ResourceTable,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Performed {
    /// The attempt has an outcome.
    Ended {
        /// Output or failure.
        outcome: Outcome,
        /// The last lines the plugin logged.
        lines: Vec<String>,
    },
    /// It has none: the run rests, or is stuck.
    Stopped(Stop),
}

/// An attempt to perform.
pub struct Attempt<'a> {
    /// What the run's attempts share.
    pub context: Arc<RunContext>,
    /// Where it stands.
    pub site: Site,
    /// What the journal already holds of it.
    pub cursor: Vec<RecordedCall>,
    /// The step type.
    pub step: &'a str,
    /// The evaluated input.
    pub input: &'a Value,
}

impl Guest {
    fn new(door: Option<Door>, deadline: Deadline, pool: &Pool) -> Self {
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(limits::MAX_HANDLES);
        Self {
            door,
            memory: Share::of(pool.clone()),
            stop: None,
            overspent: None,
            calls: 0,
            recorded_bytes: 0,
            lines: Vec::new(),
            lines_dropped: 0,
            reports: 0,
            deadline,
            handles,
        }
    }

    pub(super) fn handles(&self) -> &ResourceTable {
        &self.handles
    }

    pub(super) fn handles_mut(&mut self) -> &mut ResourceTable {
        &mut self.handles
    }

    /// The text of a secret that the door has let through; in a plan a word in its place. What is recorded says that it was
    /// seen, so that the attempt cannot go on without it: the run is left until the text can be had again.
    pub(super) async fn text_of(&mut self, secret: &SecretRef) -> wasmtime::Result<String> {
        let Some(door) = &self.door else {
            wasmtime::bail!("a plugin may call nothing while it describes itself");
        };
        if door.context.mode == Mode::Plan {
            return Ok(PLANNED_TEXT.to_owned());
        }
        match door.context.world.secret(secret).await {
            Ok(text) => Ok(text.expose().to_owned()),
            Err(trouble) => {
                let words = format!(
                    "the plugin saw the plain text of the secret `{}`, version {}, and it cannot be had now: {}",
                    secret.secret, secret.version, trouble.failure.message
                );
                self.stop = Some(Stop::Left(words.clone()));
                wasmtime::bail!("{words}");
            }
        }
    }

    /// Passes a call through the door; `Err` ends the attempt.
    pub(super) async fn pass<T: serde::de::DeserializeOwned>(
        &mut self,
        call: impl Call,
    ) -> wasmtime::Result<Result<T, wit::Error>> {
        self.spend(&call)?;
        let Some(door) = &mut self.door else {
            wasmtime::bail!("a plugin may call nothing while it describes itself");
        };
        let answered = door.pass(&call).await;
        if let Ok(Ok(value)) = &answered {
            self.recorded_bytes = self.recorded_bytes.saturating_add(written_bytes(value));
        }
        match answered {
            Ok(Ok(value)) => match serde_json::from_value(value) {
                Ok(answer) => Ok(Ok(answer)),
                Err(error) => {
                    self.stop = Some(Stop::Diverged(format!(
                        "the answer of `{}` cannot be read: {error}",
                        call.function()
                    )));
                    wasmtime::bail!("the recorded answer has another shape");
                }
            },
            Ok(Err(failure)) => Ok(Err(to_wit(failure))),
            Err(stop) => {
                let words = stop.to_string();
                self.stop = Some(stop);
                wasmtime::bail!("{words}");
            }
        }
    }

    /// When this attempt must have ended.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Counts a call before it is made. One over the number of calls is refused as a value and recorded, so that it can be
    /// seen; whoever goes on is ended, since every refusal is an entry as well.
    fn spend(&mut self, call: &dyn Call) -> wasmtime::Result<()> {
        let bytes = written_bytes(&call.arguments());
        self.calls = self.calls.saturating_add(1);
        self.recorded_bytes = self.recorded_bytes.saturating_add(bytes).saturating_add(call.kept_bytes());
        let (code, message) = if self.calls > limits::MAX_CALLS + 1 {
            ("host.calls", format!("it went on after {} host calls", limits::MAX_CALLS))
        } else if bytes > limits::MAX_ARGUMENT_BYTES {
            let most = limits::MAX_ARGUMENT_BYTES;
            (
                "host.arguments",
                format!("the arguments of `{}` have {bytes} bytes, at most {most}", call.function()),
            )
        } else if self.recorded_bytes > limits::MAX_RECORDED_BYTES {
            let most = limits::MAX_RECORDED_BYTES;
            ("host.recorded", format!("its calls would fill the audit log with more than {most} bytes"))
        } else {
            return Ok(());
        };
        let words = message.clone();
        self.overspent = Some(Failure::new(FailureKind::Exhausted, code, message));
        wasmtime::bail!("{words}");
    }

    /// Notes have no entry and no ordinal.
    pub(super) fn note(&mut self, level: &'static str, message: &str) -> wasmtime::Result<()> {
        let Some(door) = &self.door else {
            wasmtime::bail!("a plugin may call nothing while it describes itself");
        };
        let report = level == "progress";
        let told = if report { self.reports } else { self.lines.len() };
        if told >= limits::MAX_LINES {
            self.lines_dropped += usize::from(!report);
            return Ok(());
        }
        let line = clean_line(message);
        door.context.ledger.note(&door.site.path, door.site.attempt, level, line.clone());
        if report {
            self.reports += 1;
        } else {
            self.lines.push(line);
        }
        Ok(())
    }

    fn last_lines(&mut self) -> Vec<String> {
        let keep = self.lines.len().saturating_sub(MAX_KEPT_LINES);
        let mut lines = self.lines.split_off(keep);
        if self.lines_dropped > 0 {
            lines.push(format!("({} more lines were not kept)", self.lines_dropped));
        }
        lines
    }
}

/// How many bytes a value has as JSON.
fn written_bytes(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Neither the counter nor a value of JSON can fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// One line without secrets and control characters, at most [`limits::MAX_LINE_BYTES`].
fn clean_line(message: &str) -> String {
    let mut line = String::new();
    // Before anything is cut off or replaced, or a part of a secret would not be known again.
    for c in scrub::text(message).chars() {
        if line.len() + c.len_utf8() > limits::MAX_LINE_BYTES {
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

fn store(wasm: &Wasm, guest: Guest) -> Result<Store<Guest>, String> {
    let mut store = Store::new(wasm.engine(), guest);
    store.limiter(|guest| &mut guest.memory);
    store.set_fuel(limits::FUEL).map_err(|e| first_line(&e))?;
    store.set_hostcall_fuel(limits::HOSTCALL_FUEL);
    store.set_max_component_handles(limits::MAX_HANDLES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        if context.data().deadline.passed() {
            return Ok(UpdateDeadline::Interrupt);
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    Ok(store)
}

/// Performs one attempt.
pub async fn perform(wasm: &Wasm, plugin: &Plugin, attempt: Attempt<'_>) -> Performed {
    let Attempt { context, site, cursor, step, input } = attempt;
    let mode = context.mode;
    let shared = Arc::clone(&context);
    let deadline = match context.mode {
        Mode::Live => Deadline::at_ms(site.deadline_ms),
        // Plans and replays run on other clocks; what they may take in real time has a limit of its own.
        _ => Deadline::after_ms(limits::MAX_SIMULATION_MS),
    };
    let Some(_place) = wasm.place(deadline).await else {
        return ended(time_over(), Vec::new());
    };
    let step_context = Context {
        run: context.run.to_string(),
        step: site.path.to_string(),
        attempt: site.attempt,
        first_started_ms: site.first_started_ms,
    };
    let guest = Guest::new(Some(Door::new(context, site, cursor)), deadline, wasm.memory());
    let mut store = match store(wasm, guest) {
        Ok(store) => store,
        Err(why) => return ended(internal("host.store", why), Vec::new()),
    };
    let input = input.to_string();
    let result = async {
        let bindings = plugin.pre.instantiate_async(&mut store).await?;
        bindings.runbook_step_step().call_run(&mut store, step, &step_context, &input).await
    }
    .await;
    if let Some(stop) = store.data_mut().stop.take() {
        return Performed::Stopped(stop);
    }
    if let Some(failure) = store.data_mut().overspent.take() {
        let lines = store.data_mut().last_lines();
        return ended(failure, lines);
    }
    let over_budget = match (&result, store.data_mut().door.as_mut()) {
        (Ok(Ok(_)), Some(door)) => match door.end().await {
            Ok(end) => end.err(),
            Err(stop) => return Performed::Stopped(stop),
        },
        _ => None,
    };
    let unused = store.data().door.as_ref().map_or(0, Door::unused);
    if unused > 0 && result.is_ok() {
        return Performed::Stopped(Stop::Diverged(format!("{unused} recorded calls were not made again")));
    }
    let lines = store.data_mut().last_lines();
    if let Some(failure) = over_budget {
        return ended(failure, lines);
    }
    match result {
        Ok(Ok(output)) => ended_with_output(&output, lines, mode),
        Ok(Err(error)) => ended(from_wit(&error), lines),
        Err(error) => {
            let failure = if deadline.passed() && matches!(error.downcast_ref(), Some(Trap::Interrupt)) {
                time_over()
            } else {
                trapped(&plugin.name.to_string(), &error, lines.last())
            };
            drop(shared);
            ended(failure, lines)
        }
    }
}

fn time_over() -> Failure {
    Failure::new(FailureKind::TimedOut, "step.deadline", "the step's time is over")
}

fn ended(failure: Failure, lines: Vec<String>) -> Performed {
    Performed::Ended { outcome: Outcome::Error(failure), lines }
}

fn ended_with_output(output: &str, lines: Vec<String>, mode: Mode) -> Performed {
    if output.len() > limits::MAX_JSON_BYTES {
        let message = format!("the output has {} bytes, more than {}", output.len(), limits::MAX_JSON_BYTES);
        return ended(Failure::new(FailureKind::Exhausted, "step.output-too-large", message), lines);
    }
    // What was recorded before there was a limit is replayed as it was.
    let read = if mode == Mode::Replay {
        serde_json::from_str(output).map_err(Unreadable::from)
    } else {
        json::read(output)
    };
    match read {
        Ok(value) => Performed::Ended { outcome: Outcome::Ok(scrub::document(value)), lines },
        Err(Unreadable::Excess(excess)) => {
            let message = format!("the output is too large: {excess}");
            ended(Failure::new(FailureKind::Exhausted, "step.output-too-large", message), lines)
        }
        Err(Unreadable::Syntax(error)) => {
            ended(internal("step.output-not-json", format!("the output is not JSON: {error}")), lines)
        }
    }
}

fn internal(code: &str, message: String) -> Failure {
    Failure::new(FailureKind::Internal, code, message)
}

fn trapped(plugin: &str, error: &wasmtime::Error, last_line: Option<&String>) -> Failure {
    let (kind, code, what) = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            (FailureKind::Exhausted, "plugin.fuel", "used up its computing budget".to_owned())
        }
        Some(Trap::StackOverflow) => (FailureKind::Exhausted, "plugin.stack", "used up its stack".to_owned()),
        Some(Trap::Interrupt) => {
            (FailureKind::TimedOut, "step.deadline", "ran longer than it may".to_owned())
        }
        Some(trap) => (FailureKind::Internal, "plugin.trapped", format!("trapped: {trap}")),
        None => {
            let words = format!("{error:#}");
            if error.downcast_ref::<UsedUp>().is_some() {
                let most = limits::MAX_ALL_MEMORY_BYTES >> 20;
                let what = format!(
                    "needs more memory than is left: all plugins together have {most} MiB, and others use them now"
                );
                (FailureKind::Exhausted, "plugin.memory-all", what)
            } else if words.contains("forcing trap when growing") {
                (FailureKind::Exhausted, "plugin.memory", "used up its memory".to_owned())
            } else if words.contains("fuel allocated for hostcalls") {
                (FailureKind::Exhausted, "plugin.handed-over", "handed the host too much at once".to_owned())
            } else {
                (FailureKind::Internal, "plugin.trapped", format!("trapped: {}", first_line(error)))
            }
        }
    };
    let panic = last_line
        .filter(|line| line.starts_with("panic"))
        .map(|line| format!(" ({line})"))
        .unwrap_or_default();
    Failure::new(kind, code, format!("plugin `{plugin}` {what}{panic}"))
}

/// Asks a plugin to describe itself; an error is one sentence.
pub(super) async fn describe(wasm: &Wasm, plugin: &Plugin) -> Result<Vec<StepType>, String> {
    let deadline = Deadline::after_ms(limits::MAX_DESCRIBE_MS);
    let mut store = store(wasm, Guest::new(None, deadline, wasm.memory()))?;
    let described = async {
        let bindings = plugin.pre.instantiate_async(&mut store).await?;
        bindings.runbook_step_step().call_describe(&mut store).await
    };
    clock::until(deadline, described)
        .await
        .map_err(|_| "it does not describe itself in time".to_owned())?
        .map_err(|e| format!("it cannot describe itself: {}", first_line(&e)))
}

fn to_wit(failure: Failure) -> wit::Error {
    wit::Error {
        kind: match failure.kind {
            FailureKind::Invalid => wit::ErrorKind::Invalid,
            FailureKind::NotFound => wit::ErrorKind::NotFound,
            FailureKind::AlreadyExists => wit::ErrorKind::AlreadyExists,
            FailureKind::Conflict => wit::ErrorKind::Conflict,
            FailureKind::Denied => wit::ErrorKind::Denied,
            FailureKind::Exhausted => wit::ErrorKind::Exhausted,
            FailureKind::TimedOut => wit::ErrorKind::TimedOut,
            FailureKind::Unavailable => wit::ErrorKind::Unavailable,
            FailureKind::Cancelled => wit::ErrorKind::Cancelled,
            FailureKind::OutcomeUnknown => wit::ErrorKind::OutcomeUnknown,
            FailureKind::Internal => wit::ErrorKind::Internal,
        },
        code: failure.code,
        message: failure.message,
        retry_after_ms: failure.retry_after_ms,
    }
}

fn from_wit(error: &wit::Error) -> Failure {
    let kind = match error.kind {
        wit::ErrorKind::Invalid => FailureKind::Invalid,
        wit::ErrorKind::NotFound => FailureKind::NotFound,
        wit::ErrorKind::AlreadyExists => FailureKind::AlreadyExists,
        wit::ErrorKind::Conflict => FailureKind::Conflict,
        wit::ErrorKind::Denied => FailureKind::Denied,
        wit::ErrorKind::Exhausted => FailureKind::Exhausted,
        wit::ErrorKind::TimedOut => FailureKind::TimedOut,
        wit::ErrorKind::Unavailable => FailureKind::Unavailable,
        wit::ErrorKind::Cancelled => FailureKind::Cancelled,
        wit::ErrorKind::OutcomeUnknown => FailureKind::OutcomeUnknown,
        wit::ErrorKind::Internal => FailureKind::Internal,
    };
    Failure {
        kind,
        code: clean_line(&error.code),
        message: clean_line(&error.message),
        retry_after_ms: error.retry_after_ms.map(|ms| ms.min(limits::MAX_RETRY_AFTER_MS)),
    }
}
