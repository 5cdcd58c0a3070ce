//! `service.recreate`: the same containers with another environment, other labels or another image.

use std::collections::BTreeMap;

use runbook_plugin::{
    Container, Context, Deserialize, Duration, Error, ErrorKind, Host, JsonSchema, Overrides, Serialize, Step,
};

use crate::dependents::{Dependents, Owner};
use crate::power::name_of;
use crate::replicas::{list, refuse_auto_remove, refuse_weak_evidence, since_first_attempt, stop};
use crate::restart::{count, two_minutes};
use crate::wait::Patience;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "recreate",
        "Replace the running replicas of a service one at a time, with new environment, labels or image; put the old \
         one back if the new one does not become healthy.",
        &["containers.read", "containers.create", "containers.stop", "containers.start", "containers.remove"],
        recreate,
    )]
}

/// What the new container is called until it takes the name of the old one, and the old one from then on.
const NEW: &str = "-new";
const OLD: &str = "-old";

/// The input of `service.recreate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// `project/service`, or the service alone where it is unique.
    service: String,
    /// Environment variables to set. The others stay as they are.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Environment variables to remove.
    #[serde(default)]
    remove_env: Vec<String>,
    /// Labels to set. The others stay as they are.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Labels to remove.
    #[serde(default)]
    remove_labels: Vec<String>,
    /// The image; the same one if not given.
    image: Option<String>,
    /// How long a replica may take to stop by itself before it is killed; its own stop timeout if not given.
    grace: Option<Duration>,
    /// How long a new replica must be healthy without a break before the next.
    #[serde(default)]
    healthy_for: Duration,
    /// How long a new replica may take to become healthy.
    #[serde(default = "two_minutes")]
    wait: Duration,
    /// Let running stand for healthy where there is no health check.
    #[serde(default)]
    accept_weak_evidence: bool,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// `project/service`
    service: String,
    /// Replicas that were replaced, in order.
    recreated: Vec<String>,
    /// Replicas left alone: not running, or already replaced by an earlier attempt of this step.
    skipped: Vec<String>,
    /// All replicas.
    replicas: usize,
    /// Whether some had no health check, so that running had to do.
    weak_evidence: bool,
    /// Containers of other services that went along: replaced if they share its network, restarted if Compose says so.
    dependents: Vec<String>,
}

fn recreate(host: &impl Host, context: &Context, input: &Input) -> Result<Output, Error> {
    let replicas = host.service(&input.service)?;
    refuse_leftovers(&replicas)?;
    let (work, skipped): (Vec<_>, Vec<_>) =
        replicas.iter().partition(|c| c.up() && !since_first_attempt(context, c.created_ms()));
    let work: Vec<Container> = work.into_iter().cloned().collect();
    if !replicas.iter().any(Container::up) {
        let words = format!("no replica of `{}` is running: use `service.start`", input.service);
        return Err(Error::conflict("service.none-running", words));
    }
    refuse_auto_remove(&work)?;
    refuse_weak_evidence(&work, input.accept_weak_evidence)?;
    let patience = Patience { healthy_for: input.healthy_for, wait: input.wait };
    let mut dependents = Dependents::of(host, &input.service, patience, Owner::Replaced)?;
    let mut recreated: Vec<String> = Vec::new();
    for container in &work {
        replace(host, container, input).map_err(|(error, fate)| match fate {
            Fate::Untouched => error,
            Fate::PutBack | Fate::Lost => {
                let before = list(recreated.iter().map(String::as_str));
                let words =
                    if matches!(fate, Fate::PutBack) { "the old one is back" } else { "look at it now" };
                error.because(format!(
                    "`{}` was not replaced, {words} (replaced before it: {before})",
                    container.name
                ))
            }
        })?;
        recreated.push(container.name.clone());
        host.progress(count(recreated.len()), count(work.len()), &container.name);
        dependents.follow(host)?;
    }
    dependents.follow(host)?;
    Ok(Output {
        service: name_of(&replicas, &input.service),
        recreated,
        skipped: skipped.iter().map(|c| c.name.clone()).collect(),
        replicas: replicas.len(),
        weak_evidence: work.iter().any(|c| !c.has_health_check()),
        dependents: dependents.done,
    })
}

/// Replaces one container without a change.
pub(crate) fn replace_as_it_is(
    host: &impl Host,
    container: &Container,
    patience: Patience,
) -> Result<(), Error> {
    let Patience { healthy_for, wait } = patience;
    let input = Input { healthy_for, wait, ..Input::of(&container.service) };
    replace(host, container, &input).map_err(|(error, fate)| match fate {
        Fate::Untouched => error,
        Fate::PutBack => error.because(format!("`{}` was not replaced, the old one is back", container.name)),
        Fate::Lost => error.because(format!("`{}` was not replaced, look at it now", container.name)),
    })
}

impl Input {
    /// Nothing but the service.
    fn of(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            env: BTreeMap::new(),
            remove_env: Vec::new(),
            labels: BTreeMap::new(),
            remove_labels: Vec::new(),
            image: None,
            grace: None,
            healthy_for: Duration::default(),
            wait: two_minutes(),
            accept_weak_evidence: false,
        }
    }
}

/// Containers an interrupted replacement has left: a person must say which one counts.
fn refuse_leftovers(replicas: &[Container]) -> Result<(), Error> {
    let is_name = |name: &str| replicas.iter().any(|c| c.name == name);
    let left =
        replicas.iter().find(|c| [NEW, OLD].iter().filter_map(|end| c.name.strip_suffix(end)).any(is_name));
    match left {
        None => Ok(()),
        Some(container) => Err(Error::conflict(
            "service.leftover",
            format!(
                "`{}` is left from a replacement that was interrupted: look whether it is needed, then remove it",
                container.name
            ),
        )),
    }
}

/// What became of the old container when the new one failed.
#[derive(Clone, Copy)]
enum Fate {
    Untouched,
    PutBack,
    Lost,
}

fn replace(host: &impl Host, old: &Container, input: &Input) -> Result<(), (Error, Fate)> {
    let new = host
        .create(&old.id, &format!("{}{NEW}", old.name), &overrides(old, input))
        .map_err(|error| (error, Fate::Untouched))?;
    if let Err(error) = stop(host, old, input.grace) {
        discard(host, &new);
        return Err((error, Fate::Untouched));
    }
    let patience = Patience { healthy_for: input.healthy_for, wait: input.wait };
    if let Err(error) = host.rename(&old.id, &format!("{}{OLD}", old.name)) {
        discard(host, &new);
        return Err((error, put_back(host, host.start(&old.id), patience)));
    }
    match switch(host, old, &new).and_then(|new| patience.wait_for_one(host, &new)) {
        Ok(()) => {
            if let Err(error) = host.remove(&old.id, false) {
                host.warn(&format!("the old `{}` is left behind: {}", old.name, error.message));
            }
            Ok(())
        }
        Err(error) => {
            discard(host, &new);
            let back = host.rename(&old.id, &old.name).and_then(|_| host.start(&old.id));
            Err((error, put_back(host, back, patience)))
        }
    }
}

/// The new one takes the name, then starts: it may need the ports of the old one, so that they never run both.
fn switch(host: &impl Host, old: &Container, new: &Container) -> Result<Container, Error> {
    host.rename(&new.id, &old.name)?;
    host.start(&new.id)
}

/// The old one is started again: whether it also serves again can be awaited, unless the run is being cancelled.
fn put_back(host: &impl Host, back: Result<Container, Error>, patience: Patience) -> Fate {
    let served = back.and_then(|old| match patience.wait_for_one(host, &old) {
        Err(error) if error.kind == ErrorKind::Cancelled => Ok((old, "is started again")),
        Err(error) => Err(error),
        Ok(()) => Ok((old, "is back")),
    });
    match served {
        Ok((old, how)) => {
            host.info(&format!("the old `{}` {how}", old.name));
            Fate::PutBack
        }
        Err(error) => {
            host.error(&format!("the old container could not be put back: {}", error.message));
            Fate::Lost
        }
    }
}

/// Its logs have been told already if it ever ran.
fn discard(host: &impl Host, container: &Container) {
    if let Err(error) = host.remove(&container.id, true) {
        host.warn(&format!("the new `{}` is left behind: {}", container.name, error.message));
    }
}

fn overrides(old: &Container, input: &Input) -> Overrides<'static> {
    Overrides {
        env: changes(&input.env, &input.remove_env),
        labels: changes(&input.labels, &input.remove_labels),
        image: input.image.clone(),
        replica: old.replica,
        ..Overrides::default()
    }
}

/// `name=value` sets, `name` alone removes.
fn changes(set: &BTreeMap<String, String>, remove: &[String]) -> Vec<String> {
    let set = set.iter().map(|(name, value)| format!("{name}={value}"));
    set.chain(remove.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use runbook_plugin::ErrorKind;
    use runbook_plugin::mock::{Behaviour, World};

    use super::{Input, changes, recreate};

    fn input(more: &str) -> Input {
        serde_json::from_str(&format!(r#"{{ "service": "shop/web" {more} }}"#)).expect("a good input")
    }

    #[test]
    fn one_after_the_other() {
        let world = World::new().with_service("shop/web", 2);
        let ids = [world.look("shop-web-1").id, world.look("shop-web-2").id];
        let output =
            recreate(&world, &world.context(), &input(r#", "image": "shop/web:2""#)).expect("it works");
        assert_eq!(output.recreated, ["shop-web-1", "shop-web-2"]);
        assert_eq!(world.names(), ["shop-web-1", "shop-web-2"]);
        for (name, id) in ["shop-web-1", "shop-web-2"].iter().zip(ids) {
            let now = world.look(name);
            assert!(
                now.available() && now.id != id && now.image == "shop/web:2" && now.replica > 0,
                "{now:?}"
            );
        }
        assert_eq!(
            world.writes()[..6],
            [
                "create shop-web-1 as shop-web-1-new",
                "stop shop-web-1",
                "rename shop-web-1 to shop-web-1-old",
                "rename shop-web-1-new to shop-web-1",
                "start shop-web-1",
                "remove shop-web-1-old",
            ]
        );
        assert_eq!(world.most_down(), 1);
    }

    #[test]
    fn the_old_one_is_put_back() {
        let world = World::new().with_service("shop/web", 2);
        let id = world.look("shop-web-1").id;
        world.refuse("start shop-web-1", 0, ErrorKind::Unavailable);
        let error = recreate(&world, &world.context(), &input("")).expect_err("it cannot start");
        assert!(
            error.message.starts_with("`shop-web-1` was not replaced, look at it now"),
            "{}",
            error.message
        );

        let world = World::new().with_service("shop/web", 2);
        world.behave("shop-web-1", Behaviour::NeverHealthy);
        let error = recreate(&world, &world.context(), &input("")).expect_err("it never heals");
        assert_eq!(error.kind, ErrorKind::TimedOut);
        assert_eq!(world.look("shop-web-1").id, id, "the old container has its name again");
        assert_eq!(world.names(), ["shop-web-1", "shop-web-2"]);
        assert!(world.writes().iter().all(|write| !write.contains("web-2")));
    }

    #[test]
    fn a_refused_stop_leaves_everything_as_it_was() {
        let world = World::new().with_service("shop/web", 1);
        world.refuse("stop", 0, ErrorKind::Denied);
        let error = recreate(&world, &world.context(), &input("")).expect_err("denied");
        assert_eq!(error.message, "`stop` is refused");
        assert_eq!(world.names(), ["shop-web-1"]);
        assert!(world.look("shop-web-1").available());
    }

    #[test]
    fn a_second_attempt_leaves_alone_what_the_first_replaced() {
        let world = World::new().with_service("shop/web", 2);
        world.refuse("stop shop-web-2", 0, ErrorKind::Unavailable);
        let first = world.context();
        recreate(&world, &first, &input("")).expect_err("the second cannot be stopped");
        let world = world.forgiving();
        let output = recreate(&world, &world.next_attempt(&first), &input("")).expect("it works");
        assert_eq!(
            (output.recreated, output.skipped),
            (vec!["shop-web-2".to_owned()], vec!["shop-web-1".to_owned()])
        );
    }

    #[test]
    fn leftovers_are_not_guessed_about() {
        let world = World::new().with_service("shop/web", 1);
        let overrides = runbook_plugin::Overrides::default();
        runbook_plugin::Host::create(&world, "shop-web-1", "shop-web-1-old", &overrides).expect("created");
        let error = recreate(&world, &world.context(), &input("")).expect_err("a leftover");
        assert_eq!(error.code, "service.leftover");
    }

    #[test]
    fn set_and_remove() {
        let input = input(r#", "env": { "MODE": "safe" }, "remove_env": ["DEBUG"]"#);
        assert_eq!(changes(&input.env, &input.remove_env), ["MODE=safe", "DEBUG"]);
    }
}
