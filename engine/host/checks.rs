//! What the door asks before it lets a call act: is it granted, is it in the plan, is the world as it was last seen.

use std::time::Instant;

use serde_json::Value;

use super::budget::{Leave, Sight};
use super::call::{Call, Need};
use super::context::{KILL, Stop, lock};
use super::door::Door;
use super::grants::allowance;
use super::held::{Deviation, Held, STALE, moved};
use super::signal::{Aftermath, aftermath};
use docker::NOT_FOUND;
use docker::types::Container;
use model::grant::ContainerAction;
use run::event::CallId;
use words::effect::{Failure, FailureKind};
use words::ids::Section;

impl Door {
    /// Checks the grant, budgets included, against the world as it is now.
    pub(super) async fn granted(&self, call: &dyn Call) -> Result<Option<Leave<'_>>, Failure> {
        match call.need() {
            Need::Nothing | Need::Answered => Ok(None),
            Need::State { bucket, action } => self.context.state_granted(&bucket, action).map(|()| None),
            Need::Secret { name, action } => self.context.secret_granted(&name, action).map(|()| None),
            Need::Address(address) => {
                super::calls::http::granted(&self.context, &address).await.map(|()| None)
            }
            Need::Container { id, action, takes_down } => {
                // What is done from here on need not show in what is seen.
                let looked = Instant::now();
                let container =
                    self.bounded(Box::pin(self.context.world.inspect(&id))).await.map_err(|t| t.failure)?;
                let grant = self.context.grant_for(&container, action)?;
                if !takes_down {
                    return Ok(None);
                }
                let world = &self.context.world;
                let replicas = match self.bounded(Box::pin(world.service(&container.service))).await {
                    Ok(replicas) => replicas,
                    Err(trouble) if trouble.failure.kind == FailureKind::NotFound => vec![container.clone()],
                    Err(trouble) => return Err(trouble.failure),
                };
                let unsteady =
                    self.bounded(Box::pin(world.unsteady(&replicas))).await.map_err(|t| t.failure)?;
                let sight = Sight { container: &container, replicas: &replicas, unsteady: &unsteady, looked };
                world
                    .budgets()
                    .admit(&self.context.target, &sight, allowance(grant), signal(call))
                    .map(Some)
                    .map_err(|exceeded| self.context.over_budget(grant, &exceeded))
            }
        }
    }

    /// Every container in an answer must be granted for reading.
    pub(super) fn answer_granted(&self, call: &dyn Call, answer: Value) -> Result<Value, Failure> {
        if call.need() == Need::Answered {
            for container in super::context::containers_in(&answer) {
                self.context.grant_for(&container, ContainerAction::Read)?;
            }
        }
        Ok(answer)
    }

    /// Whether someone changed the target since it was last seen by an engine that is no more.
    pub(super) fn moved(&self, before: &Value) -> Option<String> {
        let container: Container = serde_json::from_value(before.clone()).ok()?;
        let difference = lock(&self.context.memory).moved(&container)?;
        Some(format!(
            "`{}` was changed meanwhile, by another run or from outside: {difference}",
            container.name
        ))
    }

    /// How the target looked to an engine that is no more, if nothing goes by its id now.
    pub(super) fn vanished(&self, call: &dyn Call, failure: &Failure) -> Option<Container> {
        let Need::Container { id, .. } = call.need() else { return None };
        let gone = failure.kind == FailureKind::NotFound && failure.code == NOT_FOUND;
        lock(&self.context.memory).unverified.get(&id).filter(|_| gone).map(|sights| sights.last.clone())
    }

    /// Before the first write of a run that is held to a plan, everything the plan touches must be as the plan saw it: what
    /// is not there any more would otherwise be passed over, and what was changed be found when half of it is done.
    pub(super) async fn survey(&self, call: &dyn Call) -> Result<Result<(), Failure>, Stop> {
        let planned = lock(&self.context.memory).held.as_mut().map(Held::begin).unwrap_or_default();
        for seen in planned {
            let id = seen["id"].as_str().unwrap_or_default();
            let look = || async {
                self.bounded(Box::pin(self.context.world.inspect(id)))
                    .await
                    .map_err(|trouble| trouble.failure)
            };
            let difference = match self.patiently(call, look).await? {
                Ok(now) => moved(&seen, &serde_json::to_value(&now).unwrap_or_default()),
                Err(failure) if failure.kind == FailureKind::NotFound => Some("it is gone".to_owned()),
                Err(failure) => return Ok(Err(failure)),
            };
            if let Some(difference) = difference {
                let name = seen["name"].as_str().unwrap_or(id);
                let message =
                    format!("`{name}` has changed since the plan was made: {difference}; nothing was done");
                return Ok(Err(Failure::new(FailureKind::Conflict, STALE, message)));
            }
        }
        Ok(Ok(()))
    }

    /// With `--plan`, a write that is not in the plan is refused before it is announced. A plan shows the way there: the
    /// way back of a run that went wrong is not in it, and neither is a second attempt of what was planned.
    pub(super) fn take_planned(
        &self,
        id: &CallId,
        function: &str,
        arguments: &Value,
        before: &Value,
    ) -> Result<(), Failure> {
        let key = self.context.write_key(&id.path, function, arguments);
        let way_back = match id.path.section {
            Section::Steps => self.brings_back(function, arguments),
            Section::Undo => true,
            Section::Finally => self.context.control.went_wrong(),
        };
        let mut memory = lock(&self.context.memory);
        let Some(held) = &mut memory.held else { return Ok(()) };
        let target = before.get("from").unwrap_or(before)["name"].as_str();
        let target = target.map_or_else(|| format!("`{function}`"), |name| format!("`{name}`"));
        let (code, why) = match held.take(&key, before) {
            Ok(()) => return Ok(()),
            Err(_) if way_back || (id.attempt > 1 && held.made(&key)) => return Ok(()),
            Err(Deviation::Unplanned) => {
                let why = format!("`{function}` of {target} is not in the plan this run is held to");
                ("plan.deviation", why)
            }
            Err(Deviation::Stale(difference)) => {
                (STALE, format!("{target} has changed since the plan was made: {difference}"))
            }
        };
        let message = format!("{why}; {}", held.done_words());
        Err(Failure::new(FailureKind::Conflict, code, message))
    }
}

/// What the signal that a call sends may yet do when the call is over.
fn signal(call: &dyn Call) -> Aftermath {
    if call.function() != KILL {
        return Aftermath::None;
    }
    call.arguments()["signal"].as_str().map_or(Aftermath::None, aftermath)
}
