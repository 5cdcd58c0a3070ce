//! `service.recreate`: the same containers with another environment, other labels or another image.

use std::collections::BTreeMap;

use runbook_plugin::{
    Container, Context, Deserialize, Duration, Error, ErrorKind, Host, JsonSchema, Overrides, Serialize, Step,
};

use crate::dependents::{Dependents, Owner};
use crate::power::name_of;
use crate::replicas::{
    Standing, list, refuse_auto_remove, refuse_weak_evidence, since_first_attempt, standing, stop,
};
use crate::restart::{count, two_minutes};
use crate::wait::Patience;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "recreate",
        "Replace the replicas of a service one at a time, those first that are down or sick, with new environment, labels \
         or image; put the old one back if the new one does not become healthy.",
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
#[schemars(extend("ordered" = ["healthy_for", "wait"]))]
pub(crate) struct Input {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// Environment variables to set. The others stay as they are.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "variable-name" }))]
    env: BTreeMap<String, String>,
    /// Environment variables to remove.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "variable-name" }))]
    remove_env: Vec<String>,
    /// Labels to set. The others stay as they are.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "label-name" }))]
    labels: BTreeMap<String, String>,
    /// Labels to remove.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "label-name" }))]
    remove_labels: Vec<String>,
    /// The image; the same one if not given.
    #[schemars(extend("format" = "image-name"))]
    image: Option<String>,
    /// How long a replica may take to stop by itself before it is killed; its own stop timeout if not given.
    #[schemars(extend("atMost" = "10m"))]
    grace: Option<Duration>,
    /// How long a new replica must be healthy without a break before the next.
    #[serde(default)]
    healthy_for: Duration,
    /// How long a new replica may take to become healthy.
    #[serde(default = "two_minutes")]
    #[schemars(extend("atMost" = "1h"))]
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
    /// Replicas left alone: healthy, and already replaced by an earlier attempt or with what is asked for.
    skipped: Vec<String>,
    /// All replicas.
    replicas: usize,
    /// Whether some had no health check, so that running had to do.
    weak_evidence: bool,
    /// Containers of other services that went along: replaced if they share its network, restarted if Compose says so.
    dependents: Vec<String>,
}

/// In this label the engine keeps a digest of what a new container was to have differently: image, environment, labels.
const OVERRIDES: &str = "runbook.overrides";

fn recreate(host: &impl Host, context: &Context, input: &Input) -> Result<Output, Error> {
    let replicas = host.service(&input.service)?;
    refuse_leftovers(&replicas)?;
    let now_ms = host.now_ms();
    let well = |c: &Container| standing(c, now_ms) == Standing::Well;
    let (done, mut work): (Vec<Container>, Vec<Container>) =
        replicas.iter().cloned().partition(|c| well(c) && since_first_attempt(context, c.created_ms()));
    refuse_auto_remove(&work)?;
    refuse_weak_evidence(&work, input.accept_weak_evidence)?;
    // Of the well those go first that were never given what is asked for: the others may turn out to have it.
    work.sort_by_key(|c| (standing(c, now_ms), asked_for(c).is_some()));
    let patience = Patience { healthy_for: input.healthy_for, wait: input.wait };
    let mut dependents = Dependents::of(host, &input.service, patience, Owner::Replaced)?;
    let mut recreate = Recreate::new(host, input);
    recreate.skipped.extend(done.iter().map(|c| c.name.clone()));
    for (index, container) in work.iter().enumerate() {
        recreate.one(container, well(container))?;
        host.progress(count(index + 1), count(work.len()), &container.name);
        dependents.follow(host)?;
    }
    dependents.follow(host)?;
    patience.confirm(host, &input.service)?;
    Ok(Output {
        service: name_of(&replicas, &input.service),
        recreated: recreate.recreated,
        skipped: recreate.skipped,
        replicas: replicas.len(),
        weak_evidence: work.iter().any(|c| c.alive() && !c.has_health_check()),
        dependents: dependents.done,
    })
}

/// Replaces one container of another service without a change.
pub(crate) fn replace_as_it_is(
    host: &impl Host,
    container: &Container,
    patience: Patience,
) -> Result<(), Error> {
    let Patience { healthy_for, wait } = patience;
    let input = Input { healthy_for, wait, ..Input::of(&container.service) };
    let well = standing(container, host.now_ms()) == Standing::Well;
    Recreate::new(host, &input).one(container, well)
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

/// What the container was to have differently when it was made.
fn asked_for(container: &Container) -> Option<&str> {
    let (_, digest) = container.labels.iter().find(|(name, _)| name == OVERRIDES)?;
    Some(digest)
}

/// How far it has got.
struct Recreate<'a, H> {
    host: &'a H,
    input: &'a Input,
    patience: Patience,
    /// The digest of what is asked for, known once the engine has made the first container.
    wanted: Option<String>,
    recreated: Vec<String>,
    skipped: Vec<String>,
}

impl<'a, H: Host> Recreate<'a, H> {
    fn new(host: &'a H, input: &'a Input) -> Self {
        let patience = Patience { healthy_for: input.healthy_for, wait: input.wait };
        Self { host, input, patience, wanted: None, recreated: Vec::new(), skipped: Vec::new() }
    }

    fn one(&mut self, old: &Container, well: bool) -> Result<(), Error> {
        let has_it =
            |wanted: &Option<String>| well && wanted.is_some() && asked_for(old) == wanted.as_deref();
        if has_it(&self.wanted) {
            self.skip(old);
            return Ok(());
        }
        let new = self.host.create(&old.id, &format!("{}{NEW}", old.name), &overrides(old, self.input))?;
        self.wanted = asked_for(&new).map(str::to_owned);
        if has_it(&self.wanted) {
            discard(self.host, &new);
            self.skip(old);
            return Ok(());
        }
        let replaced = self.replace(old, &new, well);
        replaced.map_err(|(error, fate)| self.failed(error, fate, old))?;
        self.recreated.push(old.name.clone());
        Ok(())
    }

    fn skip(&mut self, old: &Container) {
        self.host.info(&format!("`{}` is healthy and has what is asked for", old.name));
        self.skipped.push(old.name.clone());
    }

    fn failed(&self, error: Error, fate: Fate, old: &Container) -> Error {
        let words = match fate {
            Fate::Untouched => return error,
            Fate::PutBack => "the old one is back",
            Fate::Lost => "look at it now",
        };
        let before = list(self.recreated.iter().map(String::as_str));
        error.because(format!("`{}` was not replaced, {words} (replaced before it: {before})", old.name))
    }

    fn replace(&self, old: &Container, new: &Container, well: bool) -> Result<(), (Error, Fate)> {
        let host = self.host;
        if old.alive()
            && let Err(error) = stop(host, old, self.input.grace)
        {
            discard(host, new);
            return Err((error, Fate::Untouched));
        }
        if let Err(error) = host.rename(&old.id, &format!("{}{OLD}", old.name)) {
            discard(host, new);
            return Err((error, self.put_back(old, Ok(()), well)));
        }
        let switched = switch(host, old, new).and_then(|new| self.patience.wait_for_one(host, &new));
        let error = match switched.map(|()| host.remove(&old.id, false)) {
            Ok(Ok(())) => return Ok(()),
            // A cancel in the last moment, too, leaves one of the two: the old one.
            Ok(Err(error)) if error.kind == ErrorKind::Cancelled => error,
            Ok(Err(error)) => {
                host.warn(&format!("the old `{}` is left behind: {}", old.name, error.message));
                return Ok(());
            }
            Err(error) => error,
        };
        discard(host, new);
        let renamed = host.rename(&old.id, &old.name).map(drop);
        Err((error, self.put_back(old, renamed, well)))
    }

    /// The old one has its name again; it is started if it ran before. One that was well must serve again, unless the run
    /// is being cancelled.
    fn put_back(&self, old: &Container, renamed: Result<(), Error>, well: bool) -> Fate {
        let host = self.host;
        let served = renamed.and_then(|()| {
            if !old.alive() {
                return Ok("is back, not running as before");
            }
            let started = host.start(&old.id)?;
            if !well {
                return Ok("is started again, as sick as before");
            }
            match self.patience.wait_for_one(host, &started) {
                Err(error) if error.kind == ErrorKind::Cancelled => Ok("is started again"),
                Err(error) => Err(error),
                Ok(()) => Ok("is back"),
            }
        });
        match served {
            Ok(how) => {
                host.info(&format!("the old `{}` {how}", old.name));
                Fate::PutBack
            }
            Err(error) => {
                host.error(&format!("the old container could not be put back: {}", error.message));
                Fate::Lost
            }
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

/// The new one takes the name, then starts: it may need the ports of the old one, so that they never run both.
fn switch(host: &impl Host, old: &Container, new: &Container) -> Result<Container, Error> {
    host.rename(&new.id, &old.name)?;
    host.start(&new.id)
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
    use runbook_plugin::mock::{Behaviour, World};
    use runbook_plugin::{ErrorKind, Health, State};

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
    fn a_cancel_in_the_last_moment_leaves_the_old_one_only() {
        let world = World::new().with_service("shop/web", 1);
        let id = world.look("shop-web-1").id;
        world.refuse("remove shop-web-1-old", 0, ErrorKind::Cancelled);
        let error = recreate(&world, &world.context(), &input("")).expect_err("cancelled");
        assert_eq!(error.kind, ErrorKind::Cancelled);
        assert_eq!(world.names(), ["shop-web-1"]);
        assert!(world.look("shop-web-1").id == id && world.look("shop-web-1").available());
    }

    #[test]
    fn a_second_run_goes_on_with_what_has_not_got_it() {
        let world = World::new().with_service("shop/web", 3);
        let asked = input(r#", "env": { "MODE": "safe" }"#);
        world.refuse("stop shop-web-2", 0, ErrorKind::Unavailable);
        recreate(&world, &world.context(), &asked).expect_err("the second cannot be stopped");
        let world = world.forgiving();
        let output = recreate(&world, &world.context(), &asked).expect("it works");
        assert_eq!(output.recreated, ["shop-web-2", "shop-web-3"]);
        assert_eq!(output.skipped, ["shop-web-1"]);
        let again = recreate(&world, &world.context(), &asked).expect("nothing to do");
        assert_eq!((again.recreated.len(), again.skipped.len()), (0, 3));
        assert_eq!(world.names(), ["shop-web-1", "shop-web-2", "shop-web-3"]);
        let other = input(r#", "env": { "MODE": "bold" }"#);
        let output = recreate(&world, &world.context(), &other).expect("it works");
        assert_eq!(output.recreated.len(), 3);
        let anew = recreate(&world, &world.context(), &input("")).expect("it works");
        assert_eq!(anew.recreated.len(), 3, "without a change they are made anew");
    }

    #[test]
    fn the_sick_and_the_dead_are_replaced_first() {
        let world = World::new().with_service("shop/web", 4);
        world.change("shop-web-2", |c| c.health = Health::Unhealthy);
        world.change("shop-web-3", |c| c.state = State::Exited);
        let output =
            recreate(&world, &world.context(), &input(r#", "image": "shop/web:2""#)).expect("it works");
        assert_eq!(output.recreated, ["shop-web-3", "shop-web-2", "shop-web-1", "shop-web-4"]);
        assert!(!world.writes().contains(&"stop shop-web-3".to_owned()), "it does not run");
        assert!((1..=4).all(|number| world.look(&format!("shop-web-{number}")).available()));
    }

    #[test]
    fn a_dead_release_is_replaced() {
        let world = World::new().with_service("shop/web", 2);
        for name in ["shop-web-1", "shop-web-2"] {
            world.change(name, |c| c.state = State::Exited);
        }
        let output =
            recreate(&world, &world.context(), &input(r#", "image": "shop/web:2""#)).expect("it works");
        assert_eq!(output.recreated, ["shop-web-1", "shop-web-2"]);
        assert!(world.look("shop-web-2").available());
    }

    #[test]
    fn what_was_dead_before_is_left_dead_if_the_new_one_fails() {
        let world = World::new().with_service("shop/web", 2);
        let id = world.look("shop-web-2").id;
        world.change("shop-web-2", |c| c.state = State::Exited);
        world.behave("shop-web-2", Behaviour::NeverHealthy);
        let error = recreate(&world, &world.context(), &input("")).expect_err("it never heals");
        assert!(error.message.starts_with("`shop-web-2` was not replaced, the old one is back"), "{error:?}");
        let old = world.look("shop-web-2");
        assert_eq!((old.id, old.state), (id, State::Exited));
        assert!(world.writes().iter().all(|write| !write.contains("web-1")));
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
