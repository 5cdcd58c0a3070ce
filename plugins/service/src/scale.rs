//! `service.scale`: more replicas, or fewer.

use std::collections::BTreeSet;

use runbook_plugin::{
    Container, Context, Deserialize, Duration, Error, Host, JsonSchema, Overrides, Serialize, Step,
};

use crate::dependents::refuse_shared;
use crate::power::{bring_up, name_of};
use crate::replicas::{Standing, refuse_auto_remove, standing, stop, tell_last_lines};
use crate::restart::{count, two_minutes};
use crate::wait::Patience;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "scale",
        "Bring a service to a number of replicas: start what is down and clone one that serves, or remove those first that \
         are down or sick, then the newest.",
        &["containers.read", "containers.create", "containers.start", "containers.stop", "containers.remove"],
        scale,
    )]
}

/// The input of `service.scale`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("ordered" = [["minimum", "replicas", "maximum"], ["healthy_for", "wait"]]))]
pub(crate) struct Input {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// How many there are to be.
    #[schemars(range(min = 1))]
    replicas: usize,
    /// Never fewer than these.
    #[serde(default = "crate::restart::one")]
    #[schemars(range(min = 1))]
    minimum: usize,
    /// Never more than these.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1000))]
    maximum: usize,
    /// How long a replica may take to stop by itself before it is killed; its own stop timeout if not given.
    #[schemars(extend("atMost" = "10m"))]
    grace: Option<Duration>,
    /// How long a new replica must be healthy without a break.
    #[serde(default)]
    healthy_for: Duration,
    /// How long a new replica may take to become healthy.
    #[serde(default = "two_minutes")]
    #[schemars(extend("atMost" = "1h"))]
    wait: Duration,
    /// Only bring the number back, as an undo does: what is down stays down, the newest go first whether sick or not, and
    /// a new one is as well as the one it was cloned from.
    #[serde(default)]
    restore: bool,
}

fn twenty() -> usize {
    20
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// `project/service`
    service: String,
    /// How many there were.
    before: usize,
    /// How many there are.
    replicas: usize,
    /// New ones, and stopped ones that were started again.
    added: Vec<String>,
    /// Removed ones.
    removed: Vec<String>,
    /// Replicas that are down or not healthy all the same.
    unhealthy: Vec<String>,
}

fn scale(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let Input { replicas: wanted, minimum, maximum, .. } = *input;
    if !(minimum..=maximum).contains(&wanted) {
        let words = format!("`{}` may have {minimum} to {maximum} replicas, not {wanted}", input.service);
        return Err(Error::invalid("service.out-of-range", words));
    }
    let replicas = host.service(&input.service)?;
    let before = replicas.len();
    let (added, removed) = if wanted < before {
        (Vec::new(), scale_in(host, replicas.clone(), before - wanted, input)?)
    } else {
        (scale_out(host, &replicas, wanted - before, input)?, Vec::new())
    };
    let service = name_of(&replicas, &input.service);
    Ok(Output {
        before,
        replicas: before + added_new(&added, &replicas) - removed.len(),
        added,
        removed,
        unhealthy: tell_unhealthy(host, &service)?,
        service,
    })
}

/// The number is right; whether all of them serve is another matter, which people must know.
fn tell_unhealthy(host: &impl Host, service: &str) -> Result<Vec<String>, Error> {
    let (replicas, now_ms) = (host.service(service)?, host.now_ms());
    let sick = replicas.iter().filter(|c| standing(c, now_ms) != Standing::Well);
    let names: Vec<String> = sick.map(|c| c.name.clone()).collect();
    for name in &names {
        host.warn(&format!("`{name}` is down or not healthy: `runbook service recreate {name}` replaces it"));
    }
    Ok(names)
}

fn added_new(added: &[String], old: &[Container]) -> usize {
    added.iter().filter(|name| old.iter().all(|container| container.name != **name)).count()
}

/// Stopped replicas are started first: they are already there.
fn scale_out(
    host: &impl Host,
    old: &[Container],
    missing: usize,
    input: &Input,
) -> Result<Vec<String>, Error> {
    let patience = Patience { healthy_for: input.healthy_for, wait: input.wait };
    let mut added = Vec::new();
    for container in old.iter().filter(|container| !container.up() && !input.restore) {
        let came = bring_up(host, container).and_then(|up| patience.wait_for_one(host, &up));
        came.map_err(|error| {
            error.because(format!(
                "`{0}` was down and does not come up: `runbook service recreate {1} --image IMAGE` gives it an image \
                 that works",
                container.name, container.service
            ))
        })?;
        added.push(container.name.clone());
    }
    if missing == 0 {
        return Ok(added);
    }
    let now = host.service(&input.service)?;
    let now_ms = host.now_ms();
    let well = now
        .iter()
        .find(|c| standing(c, now_ms) == Standing::Well)
        .or_else(|| now.iter().find(|c| c.available()));
    let Some(source) = well.or(if input.restore { now.first() } else { None }) else {
        return Err(none_to_clone(&input.service));
    };
    let mut numbers: BTreeSet<u32> = now.iter().map(|container| container.replica.max(1)).collect();
    for index in 0..missing {
        let number = (1..=u32::MAX).find(|number| !numbers.contains(number)).unwrap_or(u32::MAX);
        numbers.insert(number);
        if well.is_some() {
            added.push(add(host, source, number, patience)?);
        } else {
            added.push(add_as_it_is(host, source, number)?);
        }
        host.progress(count(index + 1), count(missing), &added[added.len() - 1]);
    }
    Ok(added)
}

fn none_to_clone(service: &str) -> Error {
    let words = format!(
        "no replica of `{service}` is healthy, and a new one would be no better: first `runbook service recreate {service} \
         --image IMAGE` with an image that works, or `runbook service restart {service}`"
    );
    Error::conflict("service.none-healthy", words)
}

/// A clone of one that is not well itself: nobody waits for it.
fn add_as_it_is(host: &impl Host, source: &Container, number: u32) -> Result<String, Error> {
    let name = numbered(&source.name, source.replica, number);
    let container = host.create(&source.id, &name, &Overrides { replica: number, ..Overrides::default() })?;
    if source.alive()
        && let Err(error) = host.start(&container.id)
    {
        host.warn(&format!("`{name}` does not start: {}", error.message));
    }
    Ok(name)
}

/// A new replica that does not come up is taken away again.
fn add(host: &impl Host, source: &Container, number: u32, patience: Patience) -> Result<String, Error> {
    let name = numbered(&source.name, source.replica, number);
    let container = host.create(&source.id, &name, &Overrides { replica: number, ..Overrides::default() })?;
    let came = host.start(&container.id).and_then(|container| patience.wait_for_one(host, &container));
    match came {
        Ok(()) => Ok(name),
        Err(error) => {
            tell_last_lines(host, &container);
            match host.remove(&container.id, true) {
                Ok(()) => Err(error.because(format!("new replica `{name}` did not come up and was removed"))),
                Err(left) => {
                    host.warn(&format!("`{name}` is left behind: {}", left.message));
                    Err(error.because(format!("new replica `{name}` did not come up")))
                }
            }
        }
    }
}

/// `shop-web-1` → `shop-web-4`; `web` → `web-4`.
fn numbered(name: &str, replica: u32, number: u32) -> String {
    let own = replica.to_string();
    match name.strip_suffix(&own) {
        Some(stem) if stem.ends_with(['-', '_']) => format!("{stem}{number}"),
        _ => format!("{name}-{number}"),
    }
}

/// Those that serve nobody first, then the newest.
fn scale_in(
    host: &impl Host,
    mut old: Vec<Container>,
    surplus: usize,
    input: &Input,
) -> Result<Vec<String>, Error> {
    let now_ms = host.now_ms();
    let rank = |c: &Container| if input.restore { Standing::Well } else { standing(c, now_ms) };
    old.sort_by_key(|c| (rank(c), std::cmp::Reverse((c.replica, c.created_ms(), c.name.clone()))));
    old.truncate(surplus);
    refuse_auto_remove(&old)?;
    refuse_shared(host, &input.service, &old)?;
    let mut removed = Vec::new();
    for container in &old {
        if container.alive() {
            stop(host, container, input.grace)?;
        }
        if let Err(error) = host.remove(&container.id, false) {
            // Refused, for example by a cancel: a replica that stays must serve as before.
            if container.alive()
                && let Err(error) = host.start(&container.id)
            {
                host.error(&format!("`{}` stays stopped: {}", container.name, error.message));
            }
            return Err(error);
        }
        removed.push(container.name.clone());
        host.progress(count(removed.len()), count(surplus), &container.name);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::{Behaviour, World};
    use runbook_plugin::{ErrorKind, Health, State};

    use super::{Input, numbered, scale};

    fn input(replicas: usize) -> Input {
        serde_json::from_str(&format!(r#"{{ "service": "shop/web", "replicas": {replicas}, "maximum": 5 }}"#))
            .expect("a good input")
    }

    #[test]
    fn out() {
        let world = World::new().with_service("shop/web", 2);
        let output = scale(&world, &world.context(), &input(4)).expect("it works");
        assert_eq!(output.added, ["shop-web-3", "shop-web-4"]);
        assert_eq!((output.before, output.replicas), (2, 4));
        assert_eq!(world.look("shop-web-4").replica, 4);
        assert!(world.look("shop-web-4").available());
        let again = scale(&world, &world.context(), &input(4)).expect("nothing to do");
        assert!(again.added.is_empty());
    }

    #[test]
    fn stopped_ones_are_started_before_new_ones_are_made() {
        let world = World::new().with_service("shop/web", 2);
        world.change("shop-web-1", |c| c.state = State::Exited);
        let output = scale(&world, &world.context(), &input(3)).expect("it works");
        assert_eq!(output.added, ["shop-web-1", "shop-web-3"]);
        assert_eq!(output.replicas, 3);
    }

    #[test]
    fn a_gap_in_the_numbers_is_filled() {
        let world = World::new().with_service("shop/web", 3);
        runbook_plugin::Host::remove(&world, "shop-web-2", true).expect("removed");
        let output = scale(&world, &world.context(), &input(3)).expect("it works");
        assert_eq!(output.added, ["shop-web-2"]);
    }

    #[test]
    fn in_takes_what_does_not_run_then_the_newest() {
        let world = World::new().with_service("shop/web", 5);
        world.change("shop-web-2", |c| c.state = State::Exited);
        let output = scale(&world, &world.context(), &input(2)).expect("it works");
        assert_eq!(output.removed, ["shop-web-2", "shop-web-5", "shop-web-4"]);
        assert_eq!(world.names(), ["shop-web-1", "shop-web-3"]);
        assert!(!world.writes().contains(&"stop shop-web-2".to_owned()));
    }

    #[test]
    fn a_new_one_that_does_not_come_up_is_taken_away() {
        let world = World::new().with_service("shop/web", 1);
        world.behave("shop-web-1", Behaviour::NeverHealthy);
        let error = scale(&world, &world.context(), &input(2)).expect_err("it never heals");
        assert!(error.message.starts_with("new replica `shop-web-2` did not come up and was removed"));
        assert_eq!(world.names(), ["shop-web-1"]);
    }

    #[test]
    fn one_that_cannot_be_removed_serves_again() {
        let world = World::new().with_service("shop/web", 3);
        world.refuse("remove shop-web-3", 0, ErrorKind::Cancelled);
        let error = scale(&world, &world.context(), &input(2)).expect_err("it is cancelled");
        assert_eq!(error.kind, ErrorKind::Cancelled);
        assert!(world.look("shop-web-3").alive());
        assert_eq!(world.writes(), ["stop shop-web-3", "start shop-web-3"]);
    }

    #[test]
    fn in_takes_the_sick_before_the_newest() {
        let world = World::new().with_service("shop/web", 4);
        world.change("shop-web-1", |c| c.health = Health::Unhealthy);
        world.change("shop-web-2", |c| c.state = State::Paused);
        let output = scale(&world, &world.context(), &input(3)).expect("it works");
        assert_eq!(
            (output.removed, output.unhealthy),
            (vec!["shop-web-2".to_owned()], vec!["shop-web-1".to_owned()])
        );
        let output = scale(&world, &world.context(), &input(1)).expect("it works");
        assert_eq!(output.removed, ["shop-web-1", "shop-web-4"]);
        assert_eq!(world.names(), ["shop-web-3"]);
    }

    #[test]
    fn out_of_nothing_that_serves_says_what_to_do_first() {
        let world = World::new().with_service("shop/web", 2);
        world.change("shop-web-1", |c| c.health = Health::Unhealthy);
        world.change("shop-web-2", |c| c.health = Health::Unhealthy);
        let error = scale(&world, &world.context(), &input(3)).expect_err("nothing to clone");
        assert_eq!(error.code, "service.none-healthy");
        assert!(
            error.message.contains("`runbook service recreate shop/web --image IMAGE`"),
            "{}",
            error.message
        );
        assert!(world.writes().is_empty());
    }

    #[test]
    fn an_undo_brings_the_number_back_over_replicas_that_were_dead_before() {
        let restore = |replicas: usize| {
            let text = format!(r#"{{ "service": "shop/web", "replicas": {replicas}, "restore": true }}"#);
            serde_json::from_str::<Input>(&text).expect("a good input")
        };
        let world = World::new().with_service("shop/web", 3);
        world.change("shop-web-1", |c| c.state = State::Exited);
        let output = scale(&world, &world.context(), &restore(3)).expect("nothing to do");
        assert!(output.added.is_empty() && world.writes().is_empty(), "the dead one stays dead");
        let output = scale(&world, &world.context(), &restore(2)).expect("it works");
        assert_eq!(output.removed, ["shop-web-3"], "what was added last");
        world.change("shop-web-2", |c| c.state = State::Exited);
        let output = scale(&world, &world.context(), &restore(3)).expect("as dead as the others");
        assert_eq!((output.added, output.replicas), (vec!["shop-web-3".to_owned()], 3));
    }

    #[test]
    fn limits_hold() {
        let world = World::new().with_service("shop/web", 2);
        let error = scale(&world, &world.context(), &input(6)).expect_err("too many");
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Invalid, "service.out-of-range"));
        assert!(scale(&world, &world.context(), &input(0)).is_err());
        assert!(world.writes().is_empty());
    }

    #[test]
    fn names() {
        assert_eq!(numbered("shop-web-1", 1, 4), "shop-web-4");
        assert_eq!(numbered("shop_web_12", 12, 4), "shop_web_4");
        assert_eq!(numbered("web", 0, 2), "web-2");
        assert_eq!(numbered("web1", 1, 2), "web1-2");
    }
}
