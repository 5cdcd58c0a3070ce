//! Who goes along when a run may stop or replace a service: those who share the network of one of its containers, and
//! those for which Compose says `depends_on … restart: true`. They get locks and grants of their own, so that a person
//! sees them on the card, and a budget of their own.

use std::collections::{BTreeMap, BTreeSet};

use docker::Daemon;
use docker::types::Container;
use model::grant::{ContainerAction, ContainerGrant, GrantLines, RunGrants, Selector};
use words::effect::{Failure, FailureKind};

/// The most services that may go along with a run.
const MAX_DEPENDENT_SERVICES: usize = 100;

type RunContainerGrant = ContainerGrant<String, u32>;

/// A grant and the containers that it selects now.
pub(super) struct Granted {
    /// Its place among the grants.
    pub(super) grant: usize,
    pub(super) containers: Vec<Container>,
}

/// A service that goes along.
struct Along {
    owner: String,
    actions: BTreeSet<ContainerAction>,
    line: u32,
}

/// Adds a grant for each service that goes along; gives their names.
pub(super) async fn add(
    daemon: &Daemon,
    grants: &mut RunGrants,
    granted: Vec<Granted>,
) -> Result<BTreeSet<String>, Failure> {
    let mut along: BTreeMap<String, Along> = BTreeMap::new();
    let mut open: Vec<(Vec<Container>, BTreeSet<ContainerAction>, u32)> = Vec::new();
    let mut selected: BTreeMap<String, BTreeSet<ContainerAction>> = BTreeMap::new();
    for Granted { grant, containers } in granted {
        let grant = &grants.containers[grant];
        let actions = disturbing(grant);
        for container in &containers {
            selected.entry(container.service.clone()).or_default().extend(actions.iter().copied());
        }
        open.push((containers, actions, grant.line));
    }
    while let Some((owners, actions, line)) = open.pop() {
        let Some(owner) = owners.first().map(|owner| owner.service.clone()) else { continue };
        if actions.is_empty() {
            continue;
        }
        let found = daemon.dependents(&owners).await.map_err(|error| error.failure)?;
        let mut by_service: BTreeMap<String, Vec<Container>> = BTreeMap::new();
        for container in found {
            by_service.entry(container.service.clone()).or_default().push(container);
        }
        for (service, containers) in by_service {
            let had = selected.entry(service.clone()).or_default();
            if actions.is_subset(had) {
                continue;
            }
            had.extend(actions.iter().copied());
            let new = || Along {
                owner: owner_of(&containers, &owners).unwrap_or(owner.clone()),
                actions: BTreeSet::new(),
                line,
            };
            along.entry(service).or_insert_with(new).actions.extend(actions.iter().copied());
            open.push((containers, actions.clone(), line));
        }
        if along.len() > MAX_DEPENDENT_SERVICES {
            let words = format!(
                "more than {MAX_DEPENDENT_SERVICES} services depend on `{owner}`: too many for one run"
            );
            return Err(Failure::new(FailureKind::Exhausted, "grant.dependents", words));
        }
    }
    let names = along.keys().cloned().collect();
    grants.containers.extend(along.into_iter().map(|(service, along)| grant(service, along)));
    Ok(names)
}

/// The service of the owner that is meant, where a grant selects several.
fn owner_of(dependents: &[Container], owners: &[Container]) -> Option<String> {
    let is_owner = |owner: &&Container| {
        dependents.iter().any(|one| {
            one.network_owner.as_ref() == Some(&owner.id) || one.restarts_with.contains(&owner.service)
        })
    };
    owners.iter().find(is_owner).map(|owner| owner.service.clone())
}

/// What must be done to those who depend on what a grant may do; nothing if it ends no network.
fn disturbing(grant: &RunContainerGrant) -> BTreeSet<ContainerAction> {
    let may = |action| grant.actions.iter().any(|own| own.covers(action));
    let mut actions = BTreeSet::new();
    let restarts = may(ContainerAction::Start) && (may(ContainerAction::Stop) || may(ContainerAction::Kill));
    let replaces = may(ContainerAction::Create) && may(ContainerAction::Remove);
    if restarts || replaces {
        actions.extend([ContainerAction::Read, ContainerAction::Restart]);
    }
    if replaces {
        actions.extend([ContainerAction::Create, ContainerAction::Remove]);
    }
    actions
}

fn grant(service: String, along: Along) -> RunContainerGrant {
    ContainerGrant {
        select: Selector::Service(service),
        actions: along.actions.into_iter().collect(),
        max_unavailable: None,
        min_healthy: None,
        line: along.line,
        lines: GrantLines::default(),
        dependent_of: Some(along.owner),
    }
}
