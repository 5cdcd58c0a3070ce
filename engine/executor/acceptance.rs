//! From a request to what a run is fixed to: everything checked, resolved and pinned before anything is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::dependents::{self, Granted};
use super::refusal::Refusal;
use super::request::{Card, LockWish, Request};
use docker::Daemon;
use model::expression::Scope;
use model::grant::{RunGrants, Selector};
use model::parameters;
use model::parse::{ChildSignature, Known, parse, parse_accepted, signature};
use model::runbook::{Runbook, Uses};
use model::step_type::Catalogue;
use model::trouble::{Trouble, Troubles};
use run::event::Accepted;
use secrets::scrub;
use words::effect::{Failure, FailureKind};
use words::ids::{Digest, PluginName, RunId, RunbookName, TargetName};
use words::trigger::TriggerKind;

/// The deepest chain of child runs.
pub const MAX_CHILD_DEPTH: usize = 8;

/// A request that can be accepted.
pub(super) struct Prepared {
    pub(super) runbook: Arc<Runbook>,
    pub(super) accepted: Accepted,
    /// What lists show: the service.
    pub(super) subject: String,
    /// Texts, by the digests in `accepted`.
    pub(super) texts: Vec<Vec<u8>>,
}

impl Prepared {
    pub(super) fn card(&self) -> Card {
        Card {
            risk: self.runbook.risk,
            grants: self.accepted.grants.clone(),
            locks: self.accepted.locks.clone(),
        }
    }
}

/// The run whose step asks for another.
#[derive(Debug, Clone)]
pub(super) struct Parent {
    pub(super) run: RunId,
    /// The plugins that it was accepted with for its child runs; empty if an older engine accepted it.
    pub(super) plugins: Vec<(PluginName, Digest)>,
    /// The person who asked for it, if that counts.
    asked_by: Option<String>,
}

impl Parent {
    pub(super) fn of(run: RunId, accepted: &Accepted) -> Self {
        let plugins = if accepted.plugins_of_children { accepted.plugins.clone() } else { Vec::new() };
        Self { run, plugins, asked_by: accepted.asked_by.clone() }
    }

    /// Whether a plugin of the catalogue is not the one this run was accepted with.
    fn differs(&self, catalogue: &Catalogue) -> bool {
        self.plugins
            .iter()
            .any(|(name, digest)| catalogue.plugin(name).is_none_or(|plugin| plugin.digest != *digest))
    }
}

/// Parses a runbook, given the texts of those it may use, with [`parse`] or [`parse_accepted`].
pub(super) fn read_runbook(
    how: fn(&str, &str, &Known<'_>) -> Result<Runbook, Troubles>,
    (file, text): (&str, &str),
    others: &[(RunbookName, String, String)],
    catalogue: &Catalogue,
) -> Result<Runbook, Refusal> {
    let runbooks: BTreeMap<RunbookName, ChildSignature> =
        others.iter().filter_map(|(name, _, text)| Some((name.clone(), signature(text)?))).collect();
    how(file, text, &Known { catalogue, runbooks: &runbooks }).map_err(Refusal::Runbook)
}

/// Checks and resolves everything. Asks the daemon which services the grants mean, and changes nothing.
pub(super) async fn prepare(
    request: &Request,
    parent: Option<Parent>,
    catalogue: &Catalogue,
    daemon: impl AsyncFnOnce(&TargetName) -> Result<Daemon, Refusal>,
) -> Result<Prepared, Refusal> {
    let source = &request.runbook;
    holds_no_secret(&source.file, &source.text).map_err(Refusal::Runbook)?;
    // Its step types are those of the plugins its parent was accepted with, which this catalogue need not know.
    let other = parent.as_ref().is_some_and(|parent| parent.differs(catalogue));
    let how = if other { parse_accepted } else { parse };
    let runbook = read_runbook(how, (&source.file, &source.text), &source.others, catalogue)?;
    let resolved = parameters::resolve(&runbook, &request.parameters).map_err(|all| {
        Refusal::Input(all.iter().map(|p| with_hint(&p.to_string(), p.hint.as_deref())).collect())
    })?;
    let target = request.target.clone().unwrap_or_else(local_target);
    let scope = Scope::of(
        [
            ("parameters".to_owned(), resolved.clone()),
            ("trigger".to_owned(), json!({ "kind": request.trigger })),
            ("alert".to_owned(), Value::Object(Map::new())),
        ]
        .into_iter()
        .collect(),
    );
    let mut grants = runbook
        .grants
        .evaluate(&scope)
        .map_err(|e| Refusal::Grant(format!("{}:{}: {}", source.file, e.line, e.message)))?;
    let locks = if grants.containers.is_empty() {
        Vec::new()
    } else {
        let daemon = daemon(&target).await?;
        resolve_services(&daemon, &mut grants, &target).await?
    };
    let subject = subject(&grants, &resolved);
    let (texts, kept) = texts(source, &runbook);
    for (name, text) in texts.iter().map(|(name, _)| name).zip(&kept).skip(1) {
        holds_no_secret(name.as_str(), &String::from_utf8_lossy(text)).map_err(Refusal::Runbook)?;
    }
    let plugins = plugins(&runbook, source, catalogue, parent.as_ref())?;
    let asked_by = match &parent {
        Some(parent) => parent.asked_by.clone(),
        None => Some(request.actor.clone()),
    };
    let accepted = Accepted {
        runbook: runbook.name.clone(),
        file: source.file.clone(),
        texts,
        plugins,
        plugins_of_children: true,
        parameters: resolved,
        trigger: request.trigger,
        trigger_data: Value::Object(Map::new()),
        reason: request.reason.clone(),
        asked_by,
        sudo_user: request.sudo_user.clone(),
        dedupe: request.dedupe.clone(),
        target,
        grants,
        locks,
        takes_locks: matches!(request.lock, LockWish::Take { .. }),
        parent: parent.map(|parent| parent.run),
        plan: None,
        step_by_step: request.step_by_step,
        timeout_ms: millis(runbook.timeout),
        resume_within_ms: millis(runbook.resume_within),
    };
    Ok(Prepared { runbook: Arc::new(runbook), accepted, subject, texts: kept })
}

/// A runbook's text is kept for ever and known by its digest, so that nothing can be taken out of it later.
pub fn holds_no_secret(file: &str, text: &str) -> Result<(), Troubles> {
    let Some((at, words)) = scrub::first(text) else { return Ok(()) };
    let before = &text[..at];
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let name = words.trim_start_matches("[secret ").trim_end_matches(']');
    let trouble = Trouble {
        line: count(before.matches('\n').count() + 1),
        column: count(column),
        message: format!("the value of the secret `{name}` stands here in plain text"),
        hint: Some(format!("name the secret instead, for example `secret_env: {{ VARIABLE: {name} }}`")),
    };
    let (file, text) = (file.to_owned(), scrub::text(text).into_owned());
    Err(Troubles { file, text, troubles: vec![trouble] })
}

fn with_hint(message: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| message.to_owned(), |hint| format!("{message} ({hint})"))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn local_target() -> TargetName {
    match TargetName::new("local") {
        Ok(name) => name,
        Err(_) => unreachable!("`local` is a legal name"),
    }
}

/// Bare names become `project/service`, and who must be restarted along gets grants; returns the locks of what may be
/// written to, sorted.
async fn resolve_services(
    daemon: &Daemon,
    grants: &mut RunGrants,
    target: &TargetName,
) -> Result<Vec<String>, Refusal> {
    let failed = |e: docker::Error| Refusal::Target(e.failure);
    let mut written = BTreeSet::new();
    let mut granted = Vec::new();
    for (index, grant) in grants.containers.iter_mut().enumerate() {
        let containers = match &mut grant.select {
            Selector::Service(service) => {
                let found = daemon.service(service).await.map_err(failed)?;
                let Some(first) = found.first() else {
                    let message = format!("service `{service}` has no containers");
                    return Err(Refusal::Target(Failure::new(
                        FailureKind::NotFound,
                        docker::NOT_FOUND,
                        message,
                    )));
                };
                service.clone_from(&first.service);
                found
            }
            Selector::Project(project) => daemon.project(project).await.map_err(failed)?,
            Selector::Label(label) => {
                let (name, value) = label.split_once('=').unwrap_or((label, ""));
                daemon.labelled(name, value).await.map_err(failed)?
            }
        };
        if grant.actions.iter().any(|action| action.writes()) {
            written.extend(containers.iter().map(|container| container.service.clone()));
            granted.push(Granted { grant: index, containers });
        }
    }
    written.extend(dependents::add(daemon, grants, granted).await.map_err(Refusal::Target)?);
    Ok(written.into_iter().map(|service| format!("{target}/{service}")).collect())
}

/// The runbook's own text, and those of every runbook that it may come to use.
fn texts(source: &super::request::Source, runbook: &Runbook) -> (Vec<(RunbookName, Digest)>, Vec<Vec<u8>>) {
    let own = (runbook.name.clone(), source.text.clone());
    let used = used_runbooks(runbook, source);
    let all = std::iter::once(own).chain(used);
    all.map(|(name, text)| ((name, Digest::of(&text)), text.into_bytes())).unzip()
}

fn used_runbooks(runbook: &Runbook, source: &super::request::Source) -> Vec<(RunbookName, String)> {
    if children(runbook).is_empty() {
        return Vec::new();
    }
    // A child may use others in turn, so that all there are go along.
    source
        .others
        .iter()
        .filter(|(name, ..)| *name != runbook.name)
        .map(|(name, _, text)| (name.clone(), text.clone()))
        .collect()
}

/// The runbooks that the steps use.
fn children(runbook: &Runbook) -> BTreeSet<RunbookName> {
    let steps = runbook.steps.iter().chain(&runbook.finally);
    steps
        .filter_map(|step| match &step.uses {
            Uses::Runbook(name) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

/// The plugins that the steps use and those of every runbook that they may come to use, pinned.
fn plugins(
    runbook: &Runbook,
    source: &super::request::Source,
    catalogue: &Catalogue,
    parent: Option<&Parent>,
) -> Result<Vec<(PluginName, Digest)>, Refusal> {
    let mut names = used_plugins(runbook);
    let mut known = BTreeSet::from([runbook.name.clone()]);
    let mut open: Vec<RunbookName> = children(runbook).into_iter().collect();
    while let Some(name) = open.pop() {
        let Some((_, file, text)) = source.others.iter().find(|(other, ..)| *other == name) else { continue };
        if !known.insert(name) {
            continue;
        }
        // One that cannot be read is refused when it is to run.
        if let Ok(child) = read_runbook(parse_accepted, (file, text), &source.others, catalogue) {
            names.extend(used_plugins(&child));
            open.extend(children(&child));
        }
    }
    let pinned = |name: &PluginName| {
        let pinned = parent?.plugins.iter().find(|(pinned, _)| pinned == name);
        pinned.map(|(_, digest)| digest.clone())
    };
    let digest = |name: &PluginName| {
        pinned(name).or_else(|| catalogue.plugin(name).map(|plugin| plugin.digest.clone()))
    };
    let own = used_plugins(runbook);
    let all = names.into_iter().filter_map(|name| match digest(&name) {
        Some(digest) => Some(Ok((name, digest))),
        None if own.contains(&name) => {
            Some(Err(Refusal::Internal(format!("plugin `{name}` was there a moment ago"))))
        }
        None => None,
    });
    all.collect()
}

/// The plugins that the steps themselves use.
fn used_plugins(runbook: &Runbook) -> BTreeSet<PluginName> {
    let steps = runbook.steps.iter().chain(&runbook.finally);
    let uses =
        steps.flat_map(|step| std::iter::once(&step.uses).chain(step.undo.as_ref().map(|undo| &undo.uses)));
    uses.filter_map(|uses| match uses {
        Uses::Plugin { plugin, .. } => Some(plugin.clone()),
        _ => None,
    })
    .collect()
}

fn subject(grants: &RunGrants, parameters: &Value) -> String {
    let granted = grants.containers.first().map(|grant| match &grant.select {
        Selector::Service(text) | Selector::Project(text) | Selector::Label(text) => text.clone(),
    });
    granted.or_else(|| parameters.get("service")?.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A request for a child run, from what its parent was accepted with.
pub(super) fn child_request(
    parent: &Accepted,
    name: &RunbookName,
    with: &Value,
    texts: &[(RunbookName, String)],
) -> Option<Request> {
    let text = texts.iter().find(|(n, _)| n == name)?.1.clone();
    let others = texts.iter().map(|(n, t)| (n.clone(), n.to_string(), t.clone())).collect();
    Some(Request {
        runbook: super::request::Source {
            file: format!("{name} (used by {})", parent.runbook),
            text,
            others,
        },
        parameters: with.as_object().cloned().unwrap_or_default(),
        actor: String::new(),
        sudo_user: None,
        trigger: TriggerKind::Runbook,
        reason: parent.reason.clone(),
        target: Some(parent.target.clone()),
        dedupe: None,
        plan: None,
        step_by_step: parent.step_by_step,
        lock: super::request::LockWish::Wait,
    })
}
