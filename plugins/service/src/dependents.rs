//! Containers of other services that a restart of this one breaks, or must restart: those that share the network of one of
//! its containers, and those for which Compose says `depends_on … restart: true`.
//!
//! After a restart of the owner they are restarted; after its replacement those that share its network are replaced, since
//! they name it by an id that is gone.

use runbook_plugin::{Container, Error, ErrorKind, Host};

use crate::recreate::replace_as_it_is;
use crate::replicas::{list, names, stop};
use crate::wait::Patience;

/// What is done to the containers that others depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Restarted,
    Replaced,
}

/// The dependents of one service, as they were before anything was done.
pub(crate) struct Dependents {
    service: String,
    found: Vec<Container>,
    patience: Patience,
    owner: Owner,
    /// Those that were restarted or replaced.
    pub(crate) done: Vec<String>,
}

impl Dependents {
    /// Looks for them, and refuses where a person must decide: before anything is stopped.
    pub(crate) fn of(
        host: &impl Host,
        service: &str,
        patience: Patience,
        owner: Owner,
    ) -> Result<Self, Error> {
        let found = host.dependents(service)?;
        if let Some(container) = found.iter().find(|container| container.up() && container.auto_remove) {
            let words = format!(
                "`{}` depends on `{service}` and was started with `--rm`: once stopped it would be gone",
                container.name
            );
            return Err(Error::conflict("service.auto-remove", words));
        }
        Ok(Self { service: service.to_owned(), found, patience, owner, done: Vec::new() })
    }

    /// Brings along those whose owner has begun a new life since theirs began.
    pub(crate) fn follow(&mut self, host: &impl Host) -> Result<(), Error> {
        if self.found.is_empty() {
            return Ok(());
        }
        let owners = host.service(&self.service)?;
        let is_owner = |id: &String| owners.iter().any(|owner| owner.id == *id);
        for container in self.found.clone() {
            if self.done.contains(&container.name) {
                continue;
            }
            let done = match &container.network_owner {
                Some(owner) if !is_owner(owner) => self.shares_what_is_gone(host, &container, owner)?,
                Some(owner) => {
                    let owner = owners.iter().filter(|one| one.id == *owner);
                    stale(&container, owner) && self.restart(host, &container)?
                }
                None => stale(&container, owners.iter()) && self.restart(host, &container)?,
            };
            if done {
                self.done.push(container.name.clone());
            }
        }
        Ok(())
    }

    /// Its owner is none of the service now: another service's, or gone.
    fn shares_what_is_gone(
        &self,
        host: &impl Host,
        container: &Container,
        owner: &str,
    ) -> Result<bool, Error> {
        if !is_gone(host, owner) {
            return Ok(false);
        }
        if self.owner == Owner::Replaced && container.up() {
            return self.replace(host, container);
        }
        host.warn(&format!(
            "`{}` shares the network of a container that is gone: `runbook service recreate {}` lets it share that of the \
             replacement",
            container.name, container.service
        ));
        Ok(false)
    }

    fn restart(&self, host: &impl Host, container: &Container) -> Result<bool, Error> {
        let came = stop(host, container, None)
            .and_then(|()| host.start(&container.id))
            .and_then(|container| self.patience.wait_for_one(host, &container));
        came.map_err(|error| self.failed(error, container))?;
        host.info(&format!("restarted `{}`, which depends on `{}`", container.name, self.service));
        Ok(true)
    }

    fn replace(&self, host: &impl Host, container: &Container) -> Result<bool, Error> {
        replace_as_it_is(host, container, self.patience).map_err(|error| self.failed(error, container))?;
        host.info(&format!(
            "replaced `{}`: it shares the network of a container of `{}` that was replaced",
            container.name, self.service
        ));
        Ok(true)
    }

    fn failed(&self, error: Error, container: &Container) -> Error {
        let others =
            self.found.iter().filter(|one| one.name != container.name && !self.done.contains(&one.name));
        error.because(format!(
            "`{}`, which depends on `{}`, did not come back (before it: {}; others that depend on it: {})",
            container.name,
            self.service,
            list(self.done.iter().map(String::as_str)),
            names(others)
        ))
    }
}

/// Whether it runs and one of the owners has started since.
fn stale<'a>(container: &Container, mut owners: impl Iterator<Item = &'a Container>) -> bool {
    container.up() && owners.any(|owner| owner.up() && owner.started_ms() > container.started_ms())
}

fn is_gone(host: &impl Host, id: &str) -> bool {
    // Another answer, such as one that denies it, means that it is there.
    host.inspect(id).is_err_and(|error| error.kind == ErrorKind::NotFound)
}

/// A container whose network is gone could be stopped, and never started again.
pub(crate) fn refuse_dead_network(host: &impl Host, containers: &[Container]) -> Result<(), Error> {
    let dead = containers
        .iter()
        .find(|container| container.network_owner.as_deref().is_some_and(|owner| is_gone(host, owner)));
    match dead {
        None => Ok(()),
        Some(container) => Err(Error::conflict(
            "service.network-gone",
            format!(
                "`{}` shares the network of a container that is gone, and could not be started again: \
                 `runbook service recreate {}` lets it share that of the replacement",
                container.name, container.service
            ),
        )),
    }
}

/// A container whose network others share cannot be removed: they would have none.
pub(crate) fn refuse_shared(host: &impl Host, service: &str, leaving: &[Container]) -> Result<(), Error> {
    if leaving.is_empty() {
        return Ok(());
    }
    let shares =
        |one: &Container| leaving.iter().find(|old| one.network_owner.as_ref() == Some(&old.id)).cloned();
    match host.dependents(service)?.iter().find_map(|one| Some((one, shares(one)?))) {
        None => Ok(()),
        Some((one, owner)) => Err(Error::conflict(
            "service.network-shared",
            format!(
                "`{}` shares the network of `{}` and would have none: stop and remove `{}` first",
                one.name, owner.name, one.name
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;

    use super::*;

    fn world() -> World {
        let world =
            World::new().with_service("shop/vpn", 1).with_service("shop/side", 1).with_service("shop/app", 1);
        let owner = world.look("shop-vpn-1").id;
        world.change("shop-side-1", |c| c.network_owner = Some(owner.clone()));
        world.change("shop-app-1", |c| c.restarts_with = vec!["shop/vpn".to_owned()]);
        world
    }

    fn patience() -> Patience {
        Patience { healthy_for: runbook_plugin::Duration::from_secs(0), wait: crate::restart::two_minutes() }
    }

    #[test]
    fn a_network_that_is_gone_is_told_before_anything_is_stopped() {
        let world = world();
        Host::remove(&world, "shop-vpn-1", true).expect("removed");
        let error = refuse_dead_network(&world, &[world.look("shop-side-1")]).expect_err("it is gone");
        assert!(error.message.contains("runbook service recreate shop/side"), "{}", error.message);
    }

    #[test]
    fn a_shared_network_is_not_taken_away() {
        let world = world();
        let error = refuse_shared(&world, "shop/vpn", &[world.look("shop-vpn-1")]).expect_err("it is shared");
        assert_eq!(error.code, "service.network-shared");
        assert!(refuse_shared(&world, "shop/app", &[world.look("shop-app-1")]).is_ok());
    }

    #[test]
    fn nothing_is_done_while_the_owner_lives_on() {
        let world = world();
        let mut dependents = Dependents::of(&world, "shop/vpn", patience(), Owner::Restarted).expect("found");
        assert_eq!(dependents.found.len(), 2);
        dependents.follow(&world).expect("nothing to do");
        assert!(world.writes().is_empty(), "{:?}", world.writes());
    }

    #[test]
    fn they_are_restarted_with_their_owner() {
        let world = world();
        world.change("shop-side-1", |c| c.started_at = "1970-01-01T00:00:00Z".to_owned());
        world.change("shop-app-1", |c| c.started_at = "1970-01-01T00:00:00Z".to_owned());
        let mut dependents = Dependents::of(&world, "shop/vpn", patience(), Owner::Restarted).expect("found");
        dependents.follow(&world).expect("they come back");
        assert_eq!(dependents.done, ["shop-app-1", "shop-side-1"]);
        dependents.follow(&world).expect("nothing more to do");
        assert_eq!(
            world.writes(),
            ["stop shop-app-1", "start shop-app-1", "stop shop-side-1", "start shop-side-1"]
        );
    }

    #[test]
    fn who_shares_a_network_that_was_replaced_is_replaced() {
        let world = world();
        let mut dependents = Dependents::of(&world, "shop/vpn", patience(), Owner::Replaced).expect("found");
        let overrides = runbook_plugin::Overrides { replica: 1, ..runbook_plugin::Overrides::default() };
        let new = Host::create(&world, "shop-vpn-1", "shop-vpn-1-new", &overrides).expect("made");
        Host::remove(&world, "shop-vpn-1", true).expect("removed");
        Host::start(&world, &new.id).expect("started");
        let before = world.writes().len();
        dependents.follow(&world).expect("they come back");
        assert!(world.writes()[before..].contains(&"create shop-side-1 as shop-side-1-new".to_owned()));
        assert!(dependents.done.contains(&"shop-side-1".to_owned()));
        assert_eq!(world.names(), ["shop-app-1", "shop-side-1", "shop-vpn-1-new"]);
    }
}
