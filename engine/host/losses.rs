//! What commands inside containers took down. Nobody can tell beforehand what a command will do, so a budget cannot hold it
//! back; instead the replicas are looked at after each command and at the end of an attempt that ran one. A step whose
//! commands took down more than granted fails, and runs no further command until enough of them serve again.
//!
//! What comes later is not seen: a process that dies a minute after, a health check that fails after the step has ended.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Value, json};

use super::budget::{Allowance, counts};
use super::call::{Call, Intent, Need};
use super::context::{Mode, Stop, lock};
use super::door::{Answered, Door};
use super::grants::allowance;
use docker::types::{Container, State};
use model::grant::ContainerAction;
use run::event::{CallId, Outcome};
use words::clock;
use words::effect::{Failure, FailureKind};
use words::ids::{Section, StepId};

/// The look at the end of an attempt, as it is recorded if it finds too much down.
pub(super) const LOOK: &str = "containers.budget";

/// How long the death of a process may take to show, from the command's end to the last look, milliseconds.
const SETTLING_MS: u64 = 250;
/// How long a health check is waited for that began after the command; one that takes longer is not waited for at all.
/// Milliseconds.
const MAX_VERDICT_MS: u64 = 3_000;
/// What the checks themselves may take beside their intervals, milliseconds.
const CHECKING_MS: u64 = 500;
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The daemon's own interval and retries of a health check that names none.
const DEFAULT_CHECK: (u64, u64) = (30_000, 3);

/// A replica that the daemon restarted and that has run for less than this is not counted as serving: it may go down again
/// by itself. Milliseconds.
const STEADY_MS: u64 = 60_000;

/// Of one step, all its items and attempts together, and one service: the replicas that served before its first command.
#[derive(Debug, Default)]
pub(super) struct Losses {
    served: HashMap<(Section, StepId, String), BTreeSet<String>>,
}

/// The last command of an attempt.
#[derive(Debug)]
pub(super) struct LastCommand {
    container: Container,
    /// Milliseconds since 1970.
    ended_ms: u64,
}

/// Which budget is exceeded, and by what.
#[derive(Debug, PartialEq, Eq)]
struct Excess {
    word: &'static str,
    why: String,
}

/// Compares the replicas with those that served before.
fn excess(served: &BTreeSet<String>, replicas: &[Container], allowance: Allowance) -> Option<Excess> {
    let replicas: Vec<&Container> = replicas.iter().filter(|replica| counts(replica)).collect();
    let (up, down): (Vec<&Container>, Vec<&Container>) =
        replicas.iter().partition(|replica| replica.available());
    if !down.iter().any(|replica| served.contains(&replica.id)) {
        return None;
    }
    let names: Vec<String> =
        down.iter().map(|replica| format!("{} ({})", replica.name, condition(replica))).collect();
    let names = names.join(", ");
    if u32::try_from(down.len()).unwrap_or(u32::MAX) > allowance.max_unavailable {
        let most = allowance.max_unavailable;
        let why =
            format!("{} of {} replicas are down: {names}; at most {most} may be", down.len(), replicas.len());
        return Some(Excess { word: "max_unavailable", why });
    }
    let least = allowance.min_healthy.filter(|least| u32::try_from(up.len()).is_ok_and(|up| up < *least))?;
    let why = format!(
        "{} of {} replicas serve, and at least {least} must; down: {names}",
        up.len(),
        replicas.len()
    );
    Some(Excess { word: "min_healthy", why })
}

fn condition(replica: &Container) -> String {
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    if replica.state == State::Running { word(json!(replica.health)) } else { word(json!(replica.state)) }
}

/// Whether it serves and is not only up for a moment between two crashes.
fn serves(replica: &Container, now_ms: u64) -> bool {
    let started_ms = clock::milliseconds(&replica.started_at);
    let steady = started_ms.is_none_or(|started| now_ms.saturating_sub(started) >= STEADY_MS);
    replica.available() && (replica.restart_count == 0 || steady)
}

impl Door {
    /// Before a command: remembers who serves, and refuses it if earlier commands of the step took down too much.
    pub(super) async fn before_command(&self, call: &dyn Call, before: &Value) -> Result<(), Failure> {
        let Some(container) = commanded(call, before) else { return Ok(()) };
        let replicas = self.replicas_of(&container).await?;
        let now_ms = clock::now_ms();
        let serving =
            replicas.iter().filter(|replica| serves(replica, now_ms)).map(|replica| replica.id.clone());
        lock(&self.context.memory)
            .losses
            .served
            .entry(self.loss_key(&container))
            .or_insert_with(|| serving.collect());
        self.judge(&container, &replicas)
    }

    /// After a command: its answer, or a failure if it took down too much.
    pub(super) async fn after_command(
        &self,
        call: &dyn Call,
        intent: &Intent,
        answer: Value,
    ) -> Result<Value, Failure> {
        let Some(container) = commanded(call, &intent.before) else { return Ok(answer) };
        self.recall_command(call, &intent.before);
        let replicas = self.replicas_of(&container).await;
        // Where nobody can look, the look at the end of the attempt tells.
        replicas.map_or(Ok(()), |replicas| self.judge(&container, &replicas)).map(|()| answer)
    }

    /// A command has ended, in this engine or in an earlier one. Without a look before it, the container it ran in is known
    /// to have served.
    pub(super) fn recall_command(&self, call: &dyn Call, before: &Value) {
        let Some(container) = commanded(call, before) else { return };
        let alone = || BTreeSet::from([container.id.clone()]);
        lock(&self.context.memory).losses.served.entry(self.loss_key(&container)).or_insert_with(alone);
        *lock(&self.last_command) = Some(LastCommand { container, ended_ms: clock::now_ms() });
    }

    /// At the end of an attempt whose plugin succeeded: a failure if its commands took down too much. Only that is recorded.
    pub(super) async fn end(&mut self) -> Result<Result<(), Failure>, Stop> {
        if let Some(recorded) = self.take_recorded(LOOK) {
            return Ok(match recorded.outcome {
                Some(Outcome::Error(failure)) => Err(failure),
                _ => Ok(()),
            });
        }
        let last = lock(&self.last_command).take();
        let Some(LastCommand { container, ended_ms }) = last.filter(|_| self.context.mode == Mode::Live)
        else {
            return Ok(Ok(()));
        };
        let failure = loop {
            let Ok(replicas) = self.replicas_of(&container).await else { return Ok(Ok(())) };
            if let Err(failure) = self.judge(&container, &replicas) {
                break failure;
            }
            if clock::now_ms() >= self.due_ms(&container, ended_ms).await {
                return Ok(Ok(()));
            }
            tokio::time::sleep(PAUSE).await;
        };
        let id = self.next_call();
        self.recorded_look(id, json!({ "service": container.service }), failure)
            .map(|answered| answered.map(drop))
    }

    /// Until when what the command did to the container it ran in may yet show.
    async fn due_ms(&self, container: &Container, ended_ms: u64) -> u64 {
        let world = &self.context.world;
        let asked = async move { Ok(world.daemon()?.document(&container.id).await?) };
        let document = self.bounded(Box::pin(asked)).await.ok();
        let document = document.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
        ended_ms.saturating_add(span_ms(&document, ended_ms))
    }

    fn recorded_look(&self, id: CallId, arguments: Value, failure: Failure) -> Answered {
        self.record(id, LOOK, (Some(arguments), None), super::door::scrubbed(Err(failure)))
    }

    fn loss_key(&self, container: &Container) -> (Section, StepId, String) {
        (self.site.path.section, self.site.path.id.clone(), container.service.clone())
    }

    async fn replicas_of(&self, container: &Container) -> Result<Vec<Container>, Failure> {
        match self.bounded(Box::pin(self.context.world.service(&container.service))).await {
            Ok(replicas) => Ok(replicas),
            Err(trouble) if trouble.failure.kind == FailureKind::NotFound => Ok(Vec::new()),
            Err(trouble) => Err(trouble.failure),
        }
    }

    fn judge(&self, container: &Container, replicas: &[Container]) -> Result<(), Failure> {
        let grant = self.context.grant_for(container, ContainerAction::Exec)?;
        let memory = lock(&self.context.memory);
        let Some(served) = memory.losses.served.get(&self.loss_key(container)) else { return Ok(()) };
        match excess(served, replicas, allowance(grant)) {
            None => Ok(()),
            Some(Excess { word, why }) => {
                Err(self.context.took_down(grant, &container.service, (word, &why)))
            }
        }
    }
}

/// How long after a command the health check of its container tells what the command did.
fn span_ms(document: &Value, ended_ms: u64) -> u64 {
    let Some(check) = document.pointer("/Config/Healthcheck").filter(|check| !check.is_null()) else {
        return SETTLING_MS;
    };
    let passed = |log: &Value| {
        let began = log["Start"].as_str().and_then(clock::milliseconds);
        log["ExitCode"] == 0 && began.is_some_and(|began| began >= ended_ms)
    };
    let log = document.pointer("/State/Health/Log").and_then(Value::as_array);
    let given = |name: &str| check[name].as_u64().filter(|number| *number > 0);
    let interval_ms = given("Interval").map_or(DEFAULT_CHECK.0, |nanoseconds| nanoseconds / 1_000_000);
    let verdict_ms =
        interval_ms.saturating_mul(given("Retries").unwrap_or(DEFAULT_CHECK.1)).saturating_add(CHECKING_MS);
    if verdict_ms > MAX_VERDICT_MS || log.into_iter().flatten().any(passed) {
        SETTLING_MS
    } else {
        verdict_ms
    }
}

/// The container in which a command runs; none if the call is no command.
fn commanded(call: &dyn Call, before: &Value) -> Option<Container> {
    match call.need() {
        Need::Container { action: ContainerAction::Exec, .. } => {
            serde_json::from_value(before.get("container")?.clone()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker::types::Health;

    fn replicas(states: &[(&str, State, Health)]) -> Vec<Container> {
        let one = |(id, state, health): &(&str, State, Health)| {
            let mut replica = super::super::context::tests::container(id);
            replica.name = format!("web-{id}");
            (replica.state, replica.health) = (*state, *health);
            replica
        };
        states.iter().map(one).collect()
    }

    #[test]
    fn what_a_command_took_down_counts_with_what_was_down() {
        use Health::{None as Unchecked, Unhealthy};
        use State::{Created, Exited, Running};
        let all: BTreeSet<String> = ["1", "2", "3"].map(str::to_owned).into();
        let one = Allowance { max_unavailable: 1, min_healthy: None };
        let look = |served: &BTreeSet<String>, states: &[(&str, State, Health)]| {
            excess(served, &replicas(states), one)
        };
        let up = ("1", Running, Unchecked);
        assert_eq!(look(&all, &[up, ("2", Running, Unchecked)]), None);
        assert_eq!(
            look(&all, &[up, ("2", Exited, Unchecked), ("3", Created, Unchecked)]),
            None,
            "one may be"
        );
        let two = [up, ("2", Exited, Unchecked), ("3", Running, Unhealthy)];
        let found = look(&all, &two).unwrap();
        assert_eq!(
            found.why,
            "2 of 3 replicas are down: web-2 (exited), web-3 (unhealthy); at most 1 may be"
        );
        let never: BTreeSet<String> = ["1".to_owned()].into();
        assert_eq!(look(&never, &two), None, "they were down before");
        let least = Allowance { max_unavailable: 3, min_healthy: Some(2) };
        assert_eq!(excess(&all, &replicas(&two), least).unwrap().word, "min_healthy");
    }

    #[test]
    fn a_quick_health_check_is_waited_for() {
        let document = |interval_ms: u64, log: Value| {
            json!({
                "Config": { "Healthcheck": { "Interval": interval_ms * 1_000_000, "Retries": 3 } },
                "State": { "Health": { "Log": log } },
            })
        };
        let check = |start: &str, code: i32| json!([{ "Start": start, "ExitCode": code }]);
        let (before, after) = ("1970-01-01T00:00:01Z", "1970-01-01T00:00:03.5+00:00");
        assert_eq!(span_ms(&json!({}), 2_000), SETTLING_MS, "none");
        assert_eq!(span_ms(&document(30_000, json!([])), 2_000), SETTLING_MS, "too slow");
        assert_eq!(span_ms(&document(500, check(before, 0)), 2_000), 2_000, "not yet");
        assert_eq!(span_ms(&document(500, check(after, 1)), 2_000), 2_000, "it fails");
        assert_eq!(span_ms(&document(500, check(after, 0)), 2_000), SETTLING_MS, "it passes");
    }

    #[test]
    fn one_between_two_crashes_does_not_count_as_serving() {
        let mut replica = replicas(&[("1", State::Running, Health::None)]).remove(0);
        replica.started_at = "1970-01-01T00:01:00Z".to_owned();
        assert!(serves(&replica, 61_000), "it was never restarted");
        replica.restart_count = 3;
        assert!(!serves(&replica, 61_000) && serves(&replica, 60_000 + STEADY_MS));
    }
}
