//! `service.restart`: a batch at a time, and no further than the first replica that does not come back.

use std::fmt::Write as _;

use runbook_plugin::{
    Condition, Container, Context, Deserialize, Duration, Error, ErrorKind, Host, JsonSchema, Serialize,
    State, Step,
};

use crate::dependents::{Dependents, Owner, refuse_dead_network};
use crate::replicas::{
    list, names, refuse_auto_remove, refuse_weak_evidence, since_first_attempt, standing, stop,
};
use crate::wait::Patience;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "restart",
        "Restart the replicas of a service, a batch at a time, those first that are down or sick; stop at the first that \
         does not come back.",
        &["containers.read", "containers.stop", "containers.start"],
        restart,
    )]
}

/// How many lines of logs are kept before a container is killed.
const EVIDENCE_LINES: u32 = 2_000;

/// How long a killed container may take to be gone.
const KILL_TIME: Duration = Duration::from_secs(30);

/// The input of `service.restart`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("ordered" = ["healthy_for", "wait"]))]
pub(crate) struct Input {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// How many replicas at once.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    batch: usize,
    /// How long a replica may take to stop by itself before it is killed; its own stop timeout if not given.
    #[schemars(extend("atMost" = "10m"))]
    grace: Option<Duration>,
    /// How long a replica must be healthy without a break before the next batch.
    #[serde(default)]
    healthy_for: Duration,
    /// How long a batch may take to become healthy.
    #[serde(default = "two_minutes")]
    #[schemars(extend("atMost" = "1h"))]
    wait: Duration,
    /// Keep logs and the daemon's document as evidence, kill instead of stopping, start clean. Needs the grant
    /// `kill`.
    #[serde(default)]
    force: bool,
    /// Let running stand for healthy where there is no health check.
    #[serde(default)]
    accept_weak_evidence: bool,
}

pub(crate) fn one() -> usize {
    1
}

pub(crate) fn two_minutes() -> Duration {
    Duration::from_secs(120)
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// `project/service`
    service: String,
    /// Replicas that were restarted, in order.
    restarted: Vec<String>,
    /// Replicas left alone: never started, or already restarted by an earlier attempt of this step.
    skipped: Vec<String>,
    /// All replicas.
    replicas: usize,
    /// Whether some had no health check, so that running had to do.
    weak_evidence: bool,
    /// Digests of the evidence kept before a forced restart.
    evidence: Vec<String>,
    /// Containers of other services that were restarted with it: they share its network, or Compose says so.
    dependents: Vec<String>,
}

/// Who is to be restarted, and how far it has got.
struct Restart<'a, H> {
    host: &'a H,
    input: &'a Input,
    patience: Patience,
    total: usize,
    restarted: Vec<String>,
    evidence: Vec<String>,
    dependents: Dependents,
}

fn restart<H: Host>(host: &H, context: &Context, input: &Input) -> Result<Output, Error> {
    let replicas = host.service(&input.service)?;
    let now_ms = host.now_ms();
    let (mut work, rest): (Vec<_>, Vec<_>) = replicas.iter().cloned().partition(|c| c.alive() || fell(c));
    if !work.iter().any(|c| c.alive() || cut_short(context, c)) {
        let words = format!(
            "no replica of `{0}` runs: start it with `runbook service start {0}`, or replace a release that cannot run \
             with `runbook service recreate {0} --image IMAGE`",
            input.service
        );
        return Err(Error::conflict("service.none-running", words));
    }
    refuse_auto_remove(&work)?;
    refuse_weak_evidence(&work, input.accept_weak_evidence)?;
    refuse_dead_network(host, &work)?;
    // Those that do not serve go first: they cost nothing, and while they are down nothing else may go down.
    work.sort_by_key(|c| standing(c, now_ms));
    let (done, work): (Vec<_>, Vec<_>) = work.into_iter().partition(|c| already(context, c));
    let patience = Patience { healthy_for: input.healthy_for, wait: input.wait };
    let dependents = Dependents::of(host, &input.service, patience, Owner::Restarted)?;
    let total = work.len();
    let (restarted, evidence) = (Vec::new(), Vec::new());
    let mut restart = Restart { host, input, patience, total, restarted, evidence, dependents };
    restart.check_on(&done, &work)?;
    let mut untouched = work.as_slice();
    for alike in work.chunk_by(|a, b| standing(a, now_ms) == standing(b, now_ms)) {
        for batch in alike.chunks(input.batch.max(1)) {
            untouched = &untouched[batch.len()..];
            restart.batch(batch, untouched)?;
        }
    }
    patience.confirm(host, &input.service)?;
    Ok(Output {
        service: replicas.first().map_or_else(|| input.service.clone(), |c| c.service.clone()),
        restarted: restart.restarted,
        skipped: done.iter().chain(&rest).map(|c| c.name.clone()).collect(),
        replicas: replicas.len(),
        weak_evidence: done.iter().chain(&work).any(|c| !c.has_health_check()),
        evidence: restart.evidence,
        dependents: restart.dependents.done,
    })
}

/// An earlier attempt has restarted it, and it has not crashed since: then it would be the restart policy's doing.
fn already(context: &Context, container: &Container) -> bool {
    container.up() && container.restart_count == 0 && since_first_attempt(context, container.started_ms())
}

/// It ran and does not any more: it is started, before anything that runs is stopped.
fn fell(container: &Container) -> bool {
    matches!(container.state, State::Exited | State::Dead)
}

/// An earlier attempt has stopped it and not come to start it.
fn cut_short(context: &Context, container: &Container) -> bool {
    container.state == State::Exited && since_first_attempt(context, container.finished_ms())
}

impl<H: Host> Restart<'_, H> {
    /// What an earlier attempt has restarted must have come back before anything else is stopped.
    fn check_on(&self, done: &[Container], work: &[Container]) -> Result<(), Error> {
        let deadline_ms = self.patience.deadline_ms(self.host);
        for container in done {
            self.host.info(&format!("`{}` was already restarted by an earlier attempt", container.name));
            let came_back = self.patience.wait_for(self.host, container, deadline_ms);
            came_back.map_err(|error| self.not_back(error, container, work))?;
        }
        Ok(())
    }

    fn batch(&mut self, batch: &[Container], untouched: &[Container]) -> Result<(), Error> {
        for (index, container) in batch.iter().enumerate() {
            if let Err(error) = self.take_down(container) {
                self.bring_back(&batch[..index]);
                return Err(error);
            }
        }
        for (index, container) in batch.iter().enumerate() {
            if let Err(error) = self.host.start(&container.id) {
                self.bring_back(&batch[index + 1..]);
                return Err(self.not_back(error, container, untouched));
            }
        }
        let deadline_ms = self.patience.deadline_ms(self.host);
        for container in batch {
            let came_back = self.patience.wait_for(self.host, container, deadline_ms);
            came_back.map_err(|error| self.not_back(error, container, untouched))?;
            self.restarted.push(container.name.clone());
            self.host.progress(count(self.restarted.len()), count(self.total), &container.name);
        }
        self.dependents.follow(self.host)
    }

    fn take_down(&mut self, container: &Container) -> Result<(), Error> {
        if !container.alive() {
            return Ok(());
        }
        if !self.input.force {
            return stop(self.host, container, self.input.grace);
        }
        if let Some(digest) = keep_evidence(self.host, container)? {
            self.evidence.push(digest);
        }
        self.host.kill(&container.id, "KILL")?;
        let gone = self.host.wait_until(&container.id, Condition::Exited, KILL_TIME);
        if gone.is_err() {
            self.bring_back(std::slice::from_ref(container));
        }
        gone.map(drop)
    }

    /// A batch that may not go on does not leave behind what it has stopped.
    fn bring_back(&self, stopped: &[Container]) {
        for container in stopped {
            match self.host.start(&container.id) {
                Ok(_) => self.host.info(&format!("started `{}` again", container.name)),
                Err(error) => {
                    let words = format!("`{}` stays stopped: {}", container.name, error.message);
                    self.host.error(&words);
                }
            }
        }
    }

    fn not_back(&self, error: Error, container: &Container, untouched: &[Container]) -> Error {
        if matches!(error.kind, ErrorKind::Denied | ErrorKind::Cancelled) {
            return error;
        }
        let restarted = list(self.restarted.iter().map(String::as_str));
        let untouched = names(untouched);
        error.because(format!(
            "`{}` did not come back (restarted before it: {restarted}; untouched: {untouched})",
            container.name
        ))
    }
}

/// Logs and the daemon's document, which the restart destroys. A daemon that cannot give them, or no room to keep them, does
/// not stop a forced restart; a person who cancels does.
fn keep_evidence(host: &impl Host, container: &Container) -> Result<Option<String>, Error> {
    let logs = host.logs(&container.id, EVIDENCE_LINES, false);
    let document = host.document(&container.id);
    let mut content = String::new();
    for (title, part) in [("logs", logs), ("document", document)] {
        let text = match part {
            Ok(text) => text,
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                host.warn(&format!("cannot keep the {title} of `{}`: {}", container.name, error.message));
                continue;
            }
        };
        let _ = writeln!(content, "==== {title} of {} ====\n{text}", container.name);
    }
    if content.is_empty() {
        return Ok(None);
    }
    let digest = match host.keep(&format!("{}-before-kill.txt", container.name), &content) {
        Ok(digest) => digest,
        Err(error) if error.kind == ErrorKind::Exhausted => {
            host.warn(&format!("cannot keep logs and document of `{}`: {}", container.name, error.message));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    host.info(&format!("kept logs and document of `{}` as {digest}", container.name));
    Ok(Some(digest))
}

/// Progress counts in 32 bits.
pub(crate) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
