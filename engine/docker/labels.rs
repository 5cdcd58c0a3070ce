//! What labels tell of a container: its project, service, replica, and what it needs first.
//!
//! Labels are written by others: what is not a legal name is treated as not there.

use std::collections::HashMap;

use crate::name::{is_name, is_service};

/// Compose's label of the project.
pub(crate) const PROJECT: &str = "com.docker.compose.project";
/// Compose's label of the service.
pub(crate) const SERVICE: &str = "com.docker.compose.service";
/// Compose's label of the replica number.
pub(crate) const REPLICA: &str = "com.docker.compose.container-number";
/// Compose's label of containers of `docker compose run`.
pub(crate) const ONE_OFF: &str = "com.docker.compose.oneoff";
/// Compose's label of what a service needs first: `db:service_healthy:false,cache:service_started:true`.
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Our own label of the service, for containers without Compose.
pub(crate) const OWN_SERVICE: &str = "runbook.service";
/// Our own label of the call that created a container.
pub(crate) const CALL: &str = "runbook.call";
/// Our own label of the container that was cloned.
pub(crate) const ORIGIN: &str = "runbook.from";
/// Our own label of the containers whose place one has taken, the last first.
pub(crate) const REPLACES: &str = "runbook.replaces";
/// Our own label of the networks that a clone joins after it is made, and of those that it leaves.
pub(crate) const NETWORKS: &str = "runbook.networks";

/// Our own label of what a container was to have differently from the one it was cloned from, as a digest.
pub const OVERRIDES: &str = "runbook.overrides";

/// The labels of one container.
#[derive(Clone, Copy)]
pub(crate) struct Labels<'a>(pub(crate) &'a HashMap<String, String>);

impl<'a> Labels<'a> {
    /// The value of one.
    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str)
    }

    /// The Compose project.
    pub(crate) fn project(self) -> Option<&'a str> {
        self.get(PROJECT).filter(|project| is_name(project))
    }

    /// `project/service`, the value of `runbook.service`, or the container's name.
    pub(crate) fn service(self, container: &str) -> String {
        let compose = self.project().zip(self.get(SERVICE).filter(|service| is_name(service)));
        match (compose, self.get(OWN_SERVICE)) {
            (Some((project, service)), _) => format!("{project}/{service}"),
            (None, Some(own)) if is_service(own) => own.to_owned(),
            _ => container.to_owned(),
        }
    }

    /// 0 if there is none.
    pub(crate) fn replica(self) -> u32 {
        self.get(REPLICA).and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Whether it was made for one task and is no part of its service.
    pub(crate) fn one_off(self) -> bool {
        self.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// `project/service` of what it needs first.
    pub(crate) fn depends_on(self) -> Vec<String> {
        self.dependencies(|_| true)
    }

    /// Those of them whose restart must restart this one: Compose's `restart: true`.
    pub(crate) fn restarts_with(self) -> Vec<String> {
        self.dependencies(|restart| restart == "true")
    }

    fn dependencies(self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let Some((project, list)) = self.project().zip(self.get(DEPENDS_ON)) else { return Vec::new() };
        list.split(',')
            .map(|entry| entry.split(':').map(str::trim))
            .filter_map(|mut parts| Some((parts.next()?, parts.nth(1).unwrap_or_default())))
            .filter(|(service, restart)| is_name(service) && wanted(restart))
            .map(|(service, _)| format!("{project}/{service}"))
            .collect()
    }

    /// Those that are neither Docker's nor Compose's, sorted.
    pub(crate) fn others(self) -> Vec<(String, String)> {
        let mut others: Vec<_> = self
            .0
            .iter()
            .filter(|(name, _)| !name.starts_with("com.docker."))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        others.sort();
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn dependencies_are_read_from_composes_label() {
        let of = |list| Labels(&labels(&[(PROJECT, "shop"), (DEPENDS_ON, list)])).depends_on();
        assert_eq!(of("db:service_healthy:false,cache:service_started:true"), ["shop/db", "shop/cache"]);
        assert_eq!(of("db:service_started"), ["shop/db"]);
        assert_eq!(of("db"), ["shop/db"]);
        assert!(of("").is_empty());
        assert!(of("../x:service_started:false").is_empty());
        let of = |list| Labels(&labels(&[(PROJECT, "shop"), (DEPENDS_ON, list)])).restarts_with();
        assert_eq!(of("db:service_healthy:false, cache:service_started:true"), ["shop/cache"]);
        assert!(of("db").is_empty());
    }

    #[test]
    fn a_service_is_composes_or_ours_or_the_container() {
        let of = |pairs: &[(&str, &str)]| Labels(&labels(pairs)).service("c1");
        assert_eq!(of(&[(PROJECT, "shop"), (SERVICE, "web"), (OWN_SERVICE, "x")]), "shop/web");
        assert_eq!(of(&[(OWN_SERVICE, "edge/proxy")]), "edge/proxy");
        assert_eq!(of(&[(OWN_SERVICE, "a\nb")]), "c1");
        assert_eq!(of(&[]), "c1");
    }
}
