//! Performing one action of a run: an attempt with a plugin, a child run.

use std::sync::Arc;
use std::time::Duration;

use super::acceptance::child_request;
use super::engine::{Engine, Inner};
use super::journal::{Journal, failed};
use super::refusal::Refusal;
use super::request::{Command, Request};
use super::runner::Rest;
use docker::is_away;
use host::limits::PATIENCE_MS;
use host::{Attempt, Performed, Plugin, RunContext, Site, perform as perform_attempt};
use model::input::Checker;
use run::event::Outcome;
use run::next::{Perform, StartChild, child_outcome};
use words::clock::Deadline;
use words::effect::{Failure, FailureKind};
use words::ids::{PluginName, RunId, RunbookName, StepPath};

/// The pause before the services of a child run are asked for again.
const CHILD_PAUSE: Duration = Duration::from_millis(500);

/// What a piece of work needs of its run.
pub(super) struct Parts {
    pub(super) inner: Arc<Inner>,
    pub(super) journal: Journal,
    pub(super) context: Arc<RunContext>,
    pub(super) texts: Arc<Vec<(RunbookName, String)>>,
}

/// A piece of work that has ended.
pub(super) enum Done {
    Attempt {
        path: StepPath,
        attempt: u32,
        performed: Performed,
    },
    Child {
        path: StepPath,
        attempt: u32,
        started: Result<RunId, Outcome>,
    },
    /// None: the child cannot be followed any more, since the engine ends.
    ChildEnded {
        path: StepPath,
        attempt: u32,
        outcome: Option<Outcome>,
    },
    Told,
}

/// The plugin and the step type of `service.restart`.
pub(super) fn split_uses(uses: &str) -> Option<(PluginName, &str)> {
    let (plugin, step) = uses.split_once('.')?;
    Some((PluginName::new(plugin).ok()?, step))
}

/// What is known of secrets is taken out of whatever is written, also of one that a run does not use but comes across.
/// No failure by itself: a run that uses one it cannot have fails at that.
pub(super) async fn learn_secrets(inner: &Inner) {
    let secrets = inner.config.secrets.clone();
    match tokio::task::spawn_blocking(move || secrets.learn_all()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "not all secrets could be read"),
        Err(error) => tracing::debug!(%error, "secrets could not be read"),
    }
}

/// Performs an attempt.
pub(super) async fn perform(parts: Parts, action: Perform) -> Done {
    let (path, attempt) = (action.path.clone(), action.attempt);
    let performed = match load(&parts.inner, &action).await {
        Ok(plugin) => with_plugin(&parts, action, &plugin).await,
        Err(outcome) => Performed::Ended { outcome, lines: Vec::new() },
    };
    Done::Attempt { path, attempt, performed }
}

async fn load(inner: &Arc<Inner>, action: &Perform) -> Result<Plugin, Outcome> {
    let no_plugin = |why: String| failed("plugin.unusable", why);
    let (name, _) =
        split_uses(&action.uses).ok_or_else(|| no_plugin(format!("`{}` is no step type", action.uses)))?;
    let digest =
        action.plugin.clone().ok_or_else(|| no_plugin(format!("`{}` was not pinned", action.uses)))?;
    if let Some(plugin) = inner.reach.plugins.loaded(&digest) {
        return Ok(plugin);
    }
    let _turn = inner.reach.plugins.turn().await;
    if let Some(plugin) = inner.reach.plugins.loaded(&digest) {
        return Ok(plugin);
    }
    let inner = Arc::clone(inner);
    tokio::task::spawn_blocking(move || inner.reach.plugins.load(&name, &digest))
        .await
        .map_err(|e| no_plugin(e.to_string()))?
        .map_err(|e| no_plugin(e.to_string()))
}

async fn with_plugin(parts: &Parts, action: Perform, plugin: &Plugin) -> Performed {
    let Perform { path, attempt, uses, with, deadline_ms, plugin: digest } = action;
    let Some((_, step)) = split_uses(&uses) else { unreachable!("the plugin was found by it") };
    let (cursor, first_started_ms) = parts.journal.with(|state| {
        let first = state.attempt(&path, 1).map(|first| first.started_ms);
        (state.calls(&path, attempt).to_vec(), first.unwrap_or_default())
    });
    let wasm = match parts.inner.reach.plugins.wasm() {
        Ok(wasm) => wasm,
        Err(e) => {
            return Performed::Ended { outcome: failed("plugin.unusable", e.to_string()), lines: Vec::new() };
        }
    };
    if parts.inner.config.secrets.has_news() {
        learn_secrets(&parts.inner).await;
    }
    let site = Site { path, attempt, first_started_ms, deadline_ms };
    let context = Arc::clone(&parts.context);
    let performed =
        perform_attempt(&wasm, plugin, Attempt { context, site, cursor, step, input: &with }).await;
    let promised = digest.and_then(|digest| parts.inner.reach.plugins.output_of(&uses, &digest));
    checked(performed, promised.as_deref(), &uses)
}

/// An output that is not what the plugin promised is a failure of the plugin.
pub(super) fn checked(performed: Performed, promised: Option<&Checker>, uses: &str) -> Performed {
    let Performed::Ended { outcome: Outcome::Ok(output), lines } = performed else { return performed };
    let outcome = match promised.map(|schema| schema.check(&output)) {
        Some(Err(why)) => {
            let message = format!("the output of `{uses}` is not what its plugin promised: {why}");
            Outcome::Error(Failure::new(FailureKind::Internal, "plugin.output", message))
        }
        Some(Ok(())) | None => Outcome::Ok(output),
    };
    Performed::Ended { outcome, lines }
}

/// Has a child run accepted.
pub(super) async fn start_child(parts: Parts, action: StartChild) -> Done {
    let StartChild { path, attempt, runbook, with, .. } = action;
    let parent = parts.journal.run().clone();
    let request = parts.journal.with(|state| {
        let accepted = state.accepted()?;
        child_request(accepted, &runbook, &with, &parts.texts)
    });
    let started = match request {
        None => Err(failed("child.unknown", format!("there is no runbook `{runbook}`"))),
        Some(mut request) => {
            parts.journal.actor().clone_into(&mut request.actor);
            // A crash between the child's acceptance and the parent's entry must not start it twice.
            request.dedupe = Some(format!("child of {parent} at {path} attempt {attempt}"));
            accept_child(&parts, request, parent).await.map_err(|refusal| {
                let message = format!("runbook `{runbook}` was not accepted: {refusal}");
                Outcome::Error(Failure::new(FailureKind::Conflict, "child.refused", message))
            })
        }
    };
    Done::Child { path, attempt, started }
}

/// A daemon that is away for a moment is no reason to refuse a child run: its services are asked for again.
async fn accept_child(parts: &Parts, request: Request, parent: RunId) -> Result<RunId, Refusal> {
    let give_up = Deadline::after_ms(PATIENCE_MS);
    let engine = Engine::of(Arc::clone(&parts.inner));
    loop {
        let accepted = Box::pin(engine.accept(request.clone(), Some(parent.clone()))).await;
        let away = matches!(&accepted, Err(Refusal::Target(failure)) if is_away(failure));
        if !away || give_up.passed() || parts.context.control.is_stopped() {
            return accepted;
        }
        tokio::time::sleep(CHILD_PAUSE).await;
    }
}

/// Waits for a child run to end.
pub(super) async fn await_child(inner: Arc<Inner>, path: StepPath, attempt: u32, run: RunId) -> Done {
    let outcome = if let Some(mut handle) = inner.handle(&run) {
        let ended = handle.rest.wait_for(|rest| matches!(rest, Rest::Ended(_))).await.is_ok();
        let end = handle.journal.with(|state| state.end().cloned());
        end.filter(|_| ended).map(|end| child_outcome(&run, &end))
    } else {
        inner.until_not_aside(&run).await;
        inner.ended_child(&run)
    };
    Done::ChildEnded { path, attempt, outcome }
}

/// Passes a wish on to a child run.
pub(super) async fn tell_child(inner: Arc<Inner>, run: RunId, command: Command, actor: String) -> Done {
    if let Err(error) = Engine::of(inner).command(&run, command, &actor).await {
        tracing::info!(%run, %error, "a child run could not be told");
    }
    Done::Told
}
