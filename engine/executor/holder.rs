//! Who holds a lock that another run waits for: how that run stands, since when, and the commands that free the lock.

use super::engine::Inner;
use super::telling::shortened;
use run::keeping::keeping;
use run::question::{self, Commands};
use run::state::{Asked, RunStatus, State};
use words::clock;
use words::ids::{RunId, StepPath};
use words::text::one_line;

/// The longest text of a runbook or a person in one telling, in bytes: the run itself shows all of it.
const MAX_QUOTED_BYTES: usize = 300;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The run to speak of: the one that holds the lock, or the run of one of its steps if that one waits for a person.
    pub run: RunId,
    /// Its runbook; empty if it is not known.
    pub runbook: String,
    /// On whose behalf; empty if it is not known.
    pub actor: String,
    /// Since when, milliseconds since 1970; none if it has not begun.
    pub since_ms: Option<u64>,
    /// How it stands, one clause; empty if it is simply under way.
    pub standing: String,
    /// Commands that free the lock, each with what it does.
    pub commands: Vec<(String, &'static str)>,
}

impl Holder {
    /// Of a family of runs that share a lock, the first is its head.
    pub(super) fn of(inner: &Inner, family: &[RunId]) -> Self {
        let known: Vec<Self> = family.iter().filter_map(|run| Self::known(inner, run)).collect();
        let waits = known.iter().find(|holder| !holder.standing.is_empty());
        let found = waits.or_else(|| known.first()).cloned();
        found.unwrap_or_else(|| Self::unknown(family.first().cloned()))
    }

    fn unknown(run: Option<RunId>) -> Self {
        Self {
            run: run.unwrap_or_else(|| RunId::from_parts(0, 0)),
            runbook: String::new(),
            actor: String::new(),
            since_ms: None,
            standing: String::new(),
            commands: Vec::new(),
        }
    }

    fn known(inner: &Inner, run: &RunId) -> Option<Self> {
        if let Some(aside) = inner.aside.why(run) {
            let standing = format!("it cannot be read: {}", quoted(&aside.why));
            let commands = vec![(format!("runbook runs cancel {run}"), "ends it")];
            return Some(Self { standing, commands, ..Self::unknown(Some(run.clone())) });
        }
        let handle = inner.handle(run)?;
        let (runbook, actor) = (handle.journal.runbook(), handle.journal.actor().to_owned());
        handle.journal.with(|state| {
            let (standing, commands) = standing(run, state);
            Some(Self { run: run.clone(), runbook, actor, since_ms: state.started_ms(), standing, commands })
        })
    }

    /// "run `0mabc` (service-restart, asked by alice, since 2026-07-31T12:03:04Z)"
    pub fn named(&self) -> String {
        let since = self.since_ms.map(|ms| format!("since {}", clock::rfc3339(ms)));
        let asked = Some(&self.actor).filter(|actor| !actor.is_empty());
        let runbook = Some(self.runbook.clone()).filter(|runbook| !runbook.is_empty());
        let facts = runbook.into_iter().chain(asked.map(|actor| format!("asked by {actor}"))).chain(since);
        let facts = facts.collect::<Vec<_>>().join(", ");
        if facts.is_empty() { format!("run `{}`", self.run) } else { format!("run `{}` ({facts})", self.run) }
    }

    /// What it does with the lock, and how it stands: one sentence without its end.
    pub fn words(&self, lock: &str) -> String {
        let standing = if self.standing.is_empty() { String::new() } else { format!("; {}", self.standing) };
        format!("{} holds the lock on `{lock}`{standing}", self.named())
    }

    /// The commands in one sentence: "`runbook runs resume 0mabc` carries it on; …"
    pub fn ways_out(&self) -> String {
        let each = self.commands.iter().map(|(command, what)| format!("`{command}` {what}"));
        let ends = self.commands.is_empty() && !self.standing.is_empty();
        let take = "`--take-lock --reason WHY` ends it for good and gives its lock to yours".to_owned();
        each.chain((!ends).then_some(take)).collect::<Vec<_>>().join("; ")
    }
}

fn quoted(text: &str) -> String {
    shortened(&one_line(text), MAX_QUOTED_BYTES)
}

/// How a run stands, if it does not simply go on, and the commands that free its locks.
fn standing(run: &RunId, state: &State) -> (String, Vec<(String, &'static str)>) {
    let command = |words: &str, what| (format!("runbook runs {words}"), what);
    let cancel = || command(&format!("cancel {run}"), "ends it as it stands");
    if let Some(loss) = state.lock_loss() {
        return (format!("it ends, since run `{}` was given its locks", loss.by), Vec::new());
    }
    match state.status() {
        RunStatus::InDoubt => {
            let settle = |how: &str, what| command(&format!("settle {run} {how}"), what);
            let commands = vec![
                settle("--done", "says that it happened"),
                settle("--retry", "says that it did not, and does it"),
                settle("--fail", "lets the step fail"),
            ];
            (doubt(state), commands)
        }
        RunStatus::Left => {
            let reason = quoted(state.left().unwrap_or_default());
            let kept = Some(keeping(state).words()).filter(|kept| !kept.is_empty());
            let kept = kept.map(|kept| format!(", and {kept}")).unwrap_or_default();
            let mut commands = vec![
                command(&format!("resume {run}"), "carries it on"),
                command(&format!("cancel {run} --undo"), "takes back what it did, and ends it"),
            ];
            if state.undoing().is_none() {
                commands.push(cancel());
            }
            (format!("nobody carries it on: {reason}{kept}"), commands)
        }
        _ => match state.questions().as_slice() {
            [] => {
                let watch = command(&format!("watch {run}"), "follows it");
                let ends = state.undoing().is_none().then(cancel);
                (String::new(), std::iter::once(watch).chain(ends).collect())
            }
            [(path, asked), more @ ..] => {
                let mut commands = answers(state, run, path, !more.is_empty());
                commands.push(cancel());
                (asks(path, asked), commands)
            }
        },
    }
}

fn doubt(state: &State) -> String {
    let found = state.doubts().into_iter().next().and_then(|call| {
        let recorded = state.calls(&call.path, call.attempt).get(usize::try_from(call.ordinal).ok()?)?;
        let message = quoted(recorded.doubted.as_deref().unwrap_or_default());
        Some(format!(
            "whether `{}` at step `{}` happened is in doubt: {message}",
            recorded.function, call.path
        ))
    });
    found.unwrap_or_else(|| "a call of it is in doubt".to_owned())
}

fn asks(path: &StepPath, asked: &Asked) -> String {
    let who = if asked.question.who.is_empty() {
        "a person".to_owned()
    } else {
        asked.question.answerers_in_words()
    };
    format!("its step `{path}` asks {who}: {}", quoted(&asked.question.text))
}

fn answers(state: &State, run: &RunId, path: &StepPath, named: bool) -> Vec<(String, &'static str)> {
    let uses = state.progress(path).and_then(|progress| progress.last()).map(|(_, last)| last.uses.as_str());
    let Commands { yes, no } = question::commands(run, named.then_some(path), uses.unwrap_or_default());
    let says_yes = if no.is_some() { "lets it go on" } else { "says that it is done" };
    std::iter::once((yes, says_yes)).chain(no.map(|no| (no, "does not"))).collect()
}
