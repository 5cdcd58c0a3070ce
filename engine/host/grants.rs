//! Whether a run's grants cover what a plugin asks for; a denial names the line that would permit it.

use super::address::{Address, Coverage, covers};
use super::budget::{Allowance, Exceeded};
use super::context::RunContext;
use docker::types::Container;
use model::grant::{ContainerAction, ContainerGrant, Selector, StateAction};
use model::secret_grant::SecretAction;
use words::effect::{Failure, FailureKind};

type RunContainerGrant = ContainerGrant<String, u32>;

/// Bare names of services were made `project/service` when the run was accepted, so that equality is enough here.
fn selects(select: &Selector<String>, container: &Container) -> bool {
    match select {
        Selector::Service(service) => container.service == *service || container.name == *service,
        Selector::Project(project) => {
            container.service.split_once('/').is_some_and(|(owner, _)| owner == project)
        }
        Selector::Label(label) => {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            container.labels.iter().any(|(n, v)| n == name && v == value)
        }
    }
}

fn words(select: &Selector<String>) -> String {
    match select {
        Selector::Service(service) => format!("service: {service}"),
        Selector::Project(project) => format!("project: {project}"),
        Selector::Label(label) => format!("label: {label}"),
    }
}

impl RunContext {
    /// The grant that covers doing `action` to `container`.
    pub(super) fn grant_for(
        &self,
        container: &Container,
        action: ContainerAction,
    ) -> Result<&RunContainerGrant, Failure> {
        let selected: Vec<_> =
            self.grants.containers.iter().filter(|grant| selects(&grant.select, container)).collect();
        if let Some(grant) = selected.iter().find(|grant| grant.actions.iter().any(|a| a.covers(action))) {
            return Ok(grant);
        }
        let word = action.word();
        let remedy = match selected.first() {
            Some(grant) => {
                format!(
                    "add `{word}` to `actions` under grants.containers, {}:{}",
                    self.file,
                    grant.line_of_actions()
                )
            }
            None => format!(
                "a grant such as `containers: {{ select: {{ service: {} }}, actions: [{word}] }}` under `grants`, {}:{}, would permit it",
                container.service,
                self.file,
                self.grants.line.max(1)
            ),
        };
        Err(Failure::new(
            FailureKind::Denied,
            "grant.containers",
            format!("may not {word} container `{}` of `{}`: {remedy}", container.name, container.service),
        ))
    }

    /// What a denial of a budget says.
    pub(super) fn over_budget(&self, grant: &RunContainerGrant, exceeded: &Exceeded) -> Failure {
        Failure::new(
            FailureKind::Denied,
            "grant.budget",
            format!(
                "{}; the limit is `{}` of the grant on {}, {}:{}{}",
                exceeded.why,
                exceeded.word,
                words(&grant.select),
                self.file,
                grant.line_of_budget(exceeded.word),
                match exceeded.down.first() {
                    Some(name) => format!("; make `{name}` well first: `runbook service recreate {name}`"),
                    None => String::new(),
                }
            ),
        )
    }

    /// What the failure of a step says whose commands took down more than granted.
    pub(super) fn took_down(
        &self,
        grant: &RunContainerGrant,
        service: &str,
        (word, why): (&'static str, &str),
    ) -> Failure {
        Failure::new(
            FailureKind::Denied,
            "grant.budget-exceeded",
            format!(
                "commands of this step took down more of `{service}` than granted: {why} (`{word}` of the grant on {}, \
                 {}:{}); it runs no further command; start them: `runbook service start {service}`",
                words(&grant.select),
                self.file,
                grant.line_of_budget(word)
            ),
        )
    }

    /// Whether an address is granted; `*` as host means containers the run may read, by one of `addresses`.
    pub(super) fn address_granted(&self, address: &Address) -> Coverage {
        let mut best = Coverage::None;
        for pattern in &self.grants.http {
            match covers(pattern, address) {
                Coverage::Named => return Coverage::Named,
                Coverage::AnyContainer => best = Coverage::AnyContainer,
                Coverage::None => {}
            }
        }
        best
    }

    /// What a denial of an address says.
    pub(super) fn address_denied(&self, address: &Address, why: &str) -> Failure {
        Failure::new(
            FailureKind::Denied,
            "grant.http",
            format!(
                "may not connect to {address}: {why}add `\"{address}\"` to `http` under `grants`, {}:{}",
                self.file,
                self.grants.line_of_http()
            ),
        )
    }

    /// Whether a bucket is granted.
    pub(super) fn state_granted(&self, bucket: &str, action: StateAction) -> Result<(), Failure> {
        let fits = |granted: &StateAction| *granted == action || *granted == StateAction::Write;
        if self.grants.state.iter().any(|grant| grant.bucket == bucket && grant.actions.iter().any(fits)) {
            return Ok(());
        }
        let named = self.grants.state.iter().find(|grant| grant.bucket == bucket);
        let line = named.map_or(self.grants.line, |grant| grant.line);
        let word = match action {
            StateAction::Read => "read",
            StateAction::Write => "write",
        };
        Err(Failure::new(
            FailureKind::Denied,
            "grant.state",
            format!(
                "may not {word} the state bucket `{bucket}`: `state: [{{ bucket: {bucket}, actions: [{word}] }}]` under `grants`, {}:{}, would permit it",
                self.file,
                line.max(1)
            ),
        ))
    }
}

impl RunContext {
    /// Whether a secret is granted.
    pub(super) fn secret_granted(&self, name: &str, action: SecretAction) -> Result<(), Failure> {
        let named = || self.grants.secrets.iter().filter(|grant| grant.names(name));
        if named().any(|grant| grant.gives(action)) {
            return Ok(());
        }
        let word = action.word();
        let remedy = match named().next() {
            Some(grant) => format!("add `{word}` to `actions` of the grant, {}:{}", self.file, grant.line),
            None => format!(
                "`secrets: [{{ names: [{name}], actions: [{word}] }}]` under `grants`, {}:{}, would permit it",
                self.file,
                self.grants.secrets.first().map_or(self.grants.line, |grant| grant.line).max(1)
            ),
        };
        let what = match action {
            SecretAction::Use => format!("use the secret `{name}`"),
            SecretAction::Reveal => format!("see the plain text of the secret `{name}`"),
        };
        Err(Failure::new(FailureKind::Denied, "grant.secrets", format!("may not {what}: {remedy}")))
    }
}

/// What a grant allows of one service.
pub(super) fn allowance(grant: &RunContainerGrant) -> Allowance {
    Allowance { max_unavailable: grant.max_unavailable.unwrap_or(1), min_healthy: grant.min_healthy }
}
