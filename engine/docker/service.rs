//! Which containers a service is made of.
//!
//! Knows Compose's labels, ours, and names; does not know Swarm or Kubernetes.

use std::collections::{BTreeSet, HashMap};

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::daemon::{Daemon, read};
use crate::error::Error;
use crate::labels::{Labels, PROJECT, REPLACES};
use crate::name::{self, check_service, is_name};
use crate::types::Container;
use words::effect::FailureKind;

/// The most containers that one question about a service or project answers with.
const MAX_CONTAINERS: usize = 1000;
/// How many are inspected at once.
const INSPECT_AT_ONCE: usize = 8;
/// How alike two names must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.7;
/// How many names are suggested.
const MAX_SUGGESTIONS: usize = 5;

/// What a list tells of a container, enough to find its service.
struct Listed {
    id: String,
    name: String,
    service: String,
    one_off: bool,
}

impl Daemon {
    /// The containers of a service, sorted by replica number, then name. One-off containers are left out.
    pub async fn service(&self, service: &str) -> Result<Vec<Container>, Error> {
        check_service(service)?;
        let all: Vec<Listed> =
            self.list(None).await?.into_iter().filter_map(listed).filter(|one| !one.one_off).collect();
        let ids = choose(&all, service)?;
        self.inspect_all(service, ids).await
    }

    /// The containers of every service of a Compose project.
    pub async fn project(&self, project: &str) -> Result<Vec<Container>, Error> {
        if !is_name(project) {
            return Err(Error::invalid(
                "containers.name",
                format!("`{}` is not the name of a project", project.escape_default()),
            ));
        }
        let found = self.list(Some(format!("{PROJECT}={project}"))).await?;
        let ids: Vec<String> =
            found.into_iter().filter_map(listed).filter(|one| !one.one_off).map(|one| one.id).collect();
        if ids.is_empty() {
            let projects = self.list(Some(PROJECT.to_owned())).await?;
            let projects: BTreeSet<String> = projects
                .iter()
                .filter_map(|one| one.labels.as_ref()?.get(PROJECT).filter(|name| is_name(name)).cloned())
                .collect();
            return Err(not_found("project", project, &projects));
        }
        self.inspect_all(project, ids).await
    }

    /// The containers of other services that share the network of one of `owners`, or that Compose restarts with their
    /// service; sorted.
    pub async fn dependents(&self, owners: &[Container]) -> Result<Vec<Container>, Error> {
        let mut ids = BTreeSet::new();
        for summary in self.list(None).await? {
            let mode = summary.host_config.as_ref().and_then(|host| host.network_mode.as_deref());
            let shares = mode.and_then(|mode| mode.strip_prefix("container:"));
            let labels = summary.labels.clone().unwrap_or_default();
            let restarts_with = Labels(&labels).restarts_with();
            let Some(one) = listed(summary.clone()).filter(|one| !one.one_off) else { continue };
            let depends = |owner: &Container| {
                owner.service != one.service
                    && (shares.is_some_and(|id| id == owner.id || has_replaced(owner, id))
                        || restarts_with.contains(&owner.service))
            };
            if owners.iter().any(depends) {
                ids.insert(one.id);
            }
        }
        let what = owners.first().map_or("", |owner| owner.service.as_str());
        self.inspect_all(&format!("what depends on {what}"), ids.into_iter().collect()).await
    }

    /// Every container with this label, one-off ones too, sorted.
    pub async fn labelled(&self, name: &str, value: &str) -> Result<Vec<Container>, Error> {
        let ids: Vec<String> =
            self.list(Some(format!("{name}={value}"))).await?.into_iter().filter_map(|one| one.id).collect();
        self.inspect_all(value, ids).await
    }

    /// The names of all services, sorted; for lists and completions.
    pub async fn services(&self) -> Result<Vec<String>, Error> {
        let all = self.list(None).await?.into_iter().filter_map(listed).filter(|one| !one.one_off);
        // Docker has no limit on names; one that nobody could ask for is no service.
        let all = all.filter(|one| name::is_service(&one.service));
        Ok(all.map(|one| one.service).collect::<BTreeSet<_>>().into_iter().collect())
    }

    pub(crate) async fn list(&self, label: Option<String>) -> Result<Vec<ContainerSummary>, Error> {
        let filters: HashMap<String, Vec<String>> =
            label.map(|label| ("label".to_owned(), vec![label])).into_iter().collect();
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let call = read("list", "all containers");
        self.ask(call, async |docker| docker.list_containers(Some(options.clone())).await).await
    }

    async fn inspect_all(&self, what: &str, ids: Vec<String>) -> Result<Vec<Container>, Error> {
        if ids.len() > MAX_CONTAINERS {
            return Err(Error::certain(
                FailureKind::Exhausted,
                "containers.too-many",
                format!("`{what}` has {} containers, more than {MAX_CONTAINERS}", ids.len()),
            ));
        }
        let found: Vec<Option<Container>> = stream::iter(ids)
            .map(async |id| match self.inspect(&id).await {
                // Gone between the list and this question.
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
                Ok(container) => Ok(Some(container)),
            })
            .buffered(INSPECT_AT_ONCE)
            .try_collect()
            .await?;
        let mut found: Vec<Container> = found.into_iter().flatten().collect();
        found.sort_by(|a, b| (a.replica, &a.name).cmp(&(b.replica, &b.name)));
        Ok(found)
    }
}

/// Whether a container has taken the place of another, whose network some may still name.
fn has_replaced(owner: &Container, id: &str) -> bool {
    owner.labels.iter().any(|(name, ids)| name == REPLACES && ids.split(',').any(|one| one == id))
}

fn listed(summary: ContainerSummary) -> Option<Listed> {
    // Links of old give one container names with more slashes; its own has only the leading one.
    let names = summary.names.unwrap_or_default();
    let name = names.iter().find_map(|name| {
        let name = name.trim_start_matches('/');
        (!name.contains('/')).then(|| name.to_owned())
    })?;
    let labels = summary.labels.unwrap_or_default();
    let labels = Labels(&labels);
    Some(Listed { id: summary.id?, service: labels.service(&name), one_off: labels.one_off(), name })
}

/// The ids of what `wanted` names: a whole service, a bare one that is unique, or one container.
fn choose(all: &[Listed], wanted: &str) -> Result<Vec<String>, Error> {
    let of = |service: &str| -> Vec<String> {
        all.iter().filter(|one| one.service == service).map(|one| one.id.clone()).collect()
    };
    let mut services: BTreeSet<&str> =
        all.iter().map(|one| one.service.as_str()).filter(|service| *service == wanted).collect();
    if !wanted.contains('/') {
        let bare = |service: &&str| service.split_once('/').is_some_and(|(_, bare)| bare == wanted);
        services.extend(all.iter().map(|one| one.service.as_str()).filter(bare));
    }
    match services.len() {
        0 => all
            .iter()
            .find(|one| one.name == wanted || (name::is_id(wanted) && one.id == wanted))
            .map(|one| vec![one.id.clone()])
            .ok_or_else(|| {
                let known = all.iter().flat_map(|one| [one.service.clone(), one.name.clone()]).collect();
                not_found("service", wanted, &known)
            }),
        1 => Ok(services.into_iter().flat_map(of).collect()),
        _ => Err(ambiguous(wanted, &services)),
    }
}

fn ambiguous(wanted: &str, services: &BTreeSet<&str>) -> Error {
    let named: Vec<String> = services.iter().map(|service| format!("`{service}`")).collect();
    let mut hint = "name one of them";
    if services.contains(wanted) {
        hint = "name the project too, or one container by its id";
    }
    Error::invalid(
        "containers.ambiguous-service",
        format!("service `{wanted}` is ambiguous: {}; {hint}", named.join(" and ")),
    )
}

fn not_found(what: &str, wanted: &str, known: &BTreeSet<String>) -> Error {
    let likeness = |name: &str| {
        let bare = name.split_once('/').map_or(name, |(_, bare)| bare);
        strsim::jaro_winkler(name, wanted).max(strsim::jaro_winkler(bare, wanted))
    };
    let mut alike: Vec<(f64, &String)> =
        known.iter().map(|name| (likeness(name), name)).filter(|(likeness, _)| *likeness >= ALIKE).collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let named: Vec<String> =
        alike.iter().take(MAX_SUGGESTIONS).map(|(_, name)| format!("`{name}`")).collect();
    let hint = if !named.is_empty() {
        format!("did you mean {}?", named.join(" or "))
    } else if known.is_empty() {
        "there are no containers at all".to_owned()
    } else {
        "`runbook service list` shows what there is".to_owned()
    };
    Error::certain(
        FailureKind::NotFound,
        "containers.service-not-found",
        format!("no {what} is named `{wanted}`; {hint}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(service: &str, name: &str) -> Listed {
        Listed {
            id: format!("id-{name}"),
            name: name.to_owned(),
            service: service.to_owned(),
            one_off: false,
        }
    }

    #[test]
    fn a_bare_name_must_be_unique() {
        let all = [one("shop/web", "shop-web-1"), one("blog/web", "blog-web-1"), one("shop/db", "shop-db-1")];
        assert_eq!(choose(&all, "shop/web").unwrap(), ["id-shop-web-1"]);
        assert_eq!(choose(&all, "db").unwrap(), ["id-shop-db-1"]);
        assert_eq!(choose(&all, "blog-web-1").unwrap(), ["id-blog-web-1"]);
        let message = choose(&all, "web").unwrap_err().failure.message;
        assert!(message.contains("`blog/web` and `shop/web`"), "{message}");
    }

    #[test]
    fn a_lone_container_does_not_hide_a_service_of_the_same_name() {
        let all = [one("shop/web", "shop-web-1"), one("web", "web")];
        assert!(choose(&all, "web").unwrap_err().failure.message.contains("by its id"));
        assert_eq!(choose(&all, "shop/web").unwrap(), ["id-shop-web-1"]);
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion() {
        let message = choose(&[one("shop/web", "shop-web-1")], "shop/wbe").unwrap_err().failure.message;
        assert!(message.contains("did you mean `shop/web`"), "{message}");
        let message = choose(&[], "web").unwrap_err().failure.message;
        assert!(message.contains("no containers at all"), "{message}");
    }
}
