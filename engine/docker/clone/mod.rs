//! The spec of a new container from that of another: pure, no daemon is asked here.
//!
//! Everything is kept, also what nobody here knows of; [`decided`] says of each field what becomes of it. Nothing is ever
//! added to what the original may do.

mod decided;
mod image;
mod mounts;
mod network;
mod original;

use serde_json::{Value, json};

use self::decided::copied;
pub use self::decided::{DECIDED, Decision, decision};
pub(crate) use self::image::Image;
use self::image::field;
pub(crate) use self::network::{Join, Networks, complete};
pub(crate) use self::original::{Kind, Object, Original};
use crate::error::Error;
use crate::exec::check_identity;
use crate::files::NewSecrets;
use crate::labels::{CALL, NETWORKS, ONE_OFF, ORIGIN, OVERRIDES, REPLACES, REPLICA};
use crate::name;
use crate::types::Overrides;
pub(crate) use words::container_text::is_image;

/// How many containers that a replacement replaced, one after the other, its label names.
const MAX_REPLACED: usize = 8;

/// A container to be, and what is done with its networks after it is made.
#[derive(Debug)]
pub(crate) struct Clone {
    pub(crate) body: Object,
    pub(crate) networks: Networks,
}

impl Clone {
    /// Puts secrets into the environment.
    pub(crate) fn add_env(&mut self, secrets: &NewSecrets) {
        change_env(&mut self.body, &secrets.variables().collect::<Vec<_>>());
    }

    /// Writes down what it was to have differently; what the original was to have is forgotten.
    pub(crate) fn note_overrides(&mut self, digest: Option<String>) {
        let labels = labels(&mut self.body);
        match digest {
            Some(digest) => drop(labels.insert(OVERRIDES.to_owned(), json!(digest))),
            None => drop(labels.remove(OVERRIDES)),
        }
    }
}

/// What a new container is called, and the call that makes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark<'a> {
    pub(crate) name: &'a str,
    pub(crate) call_key: &'a str,
}

/// Refuses overrides that cannot be written, before anything is asked.
pub(crate) fn check(overrides: &Overrides) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::invalid("containers.overrides", why));
    for change in overrides.env.iter().chain(&overrides.labels) {
        // Never the whole text in a message: the value may be a secret.
        if name_of(change).is_empty() || change.contains('\0') {
            return refuse(
                "an environment variable or label needs a name: `name=value`, or `name` to remove".to_owned(),
            );
        }
    }
    for label in overrides.labels.iter().map(|change| name_of(change)) {
        if label.starts_with("com.docker.") || label.starts_with("runbook.") {
            return refuse(format!(
                "label `{}` is Docker's or ours; only others may be changed",
                label.escape_default()
            ));
        }
    }
    check_identity(overrides.user.as_deref(), overrides.workdir.as_deref())?;
    if overrides.command.as_ref().is_some_and(|command| command.first().is_none_or(String::is_empty)) {
        return refuse("the command is empty".to_owned());
    }
    if overrides.image.as_ref().is_some_and(|image| !is_image(image)) {
        return refuse("that is not the name of an image".to_owned());
    }
    Ok(())
}

/// Refuses to copy what no copy can have too.
pub(crate) fn refuse_impossible(original: &Original, kind: Kind) -> Result<(), Error> {
    if original.host("AutoRemove") == true && kind != Kind::OneShot {
        return Err(Error::conflict(
            "containers.auto-remove",
            "the original was started with `--rm`: a replica of it would vanish when stopped".to_owned(),
        ));
    }
    match network::fixed_address(original).filter(|_| kind == Kind::Further) {
        None => Ok(()),
        Some((network, address)) => Err(Error::conflict(
            "containers.clash",
            format!(
                "address {address} on network `{network}` is fixed and `{}` has it: a further replica cannot have it \
                 too; let Docker choose the address, then scale",
                original.name()
            ),
        )),
    }
}

/// The clone of `original`, marked with the call that makes it.
pub(crate) fn clone(original: &Original, image: &Image, overrides: &Overrides, mark: Mark<'_>) -> Clone {
    let kind = original.kind(overrides);
    let mut config = copied(&["Config"], &original.part("Config"));
    let mut host = copied(&["HostConfig"], &original.part("HostConfig"));
    image.apply(&mut config);
    forget_made_names(original, kind, &mut config);
    mounts::volumes(original, kind, &mut config, &mut host);
    host.insert("AutoRemove".to_owned(), json!(false));
    once_each(&mut host, "SecurityOpt");
    change_env(&mut config, &overrides.env);
    if let Some(command) = &overrides.command {
        // Both are given, so that nothing of the image's is added.
        config.insert("Entrypoint".to_owned(), json!(command[..1]));
        config.insert("Cmd".to_owned(), json!(command[1..]));
    }
    for (field, asked) in [("User", &overrides.user), ("WorkingDir", &overrides.workdir)] {
        if let Some(asked) = asked {
            config.insert(field.to_owned(), json!(asked));
        }
    }
    if kind == Kind::OneShot {
        one_shot(&mut config, &mut host);
    }
    let networks = Networks::of(original, kind, mark.name);
    change_labels(&mut config, overrides);
    add_own_labels(original, kind, &networks, (&mut config, mark));
    let mut body = config;
    body.insert("HostConfig".to_owned(), Value::Object(host));
    if let Some(Join { network, end }) = &networks.first {
        body.insert("NetworkingConfig".to_owned(), json!({ "EndpointsConfig": { network: end } }));
    }
    Clone { body, networks }
}

/// Names that Docker made, or took from another container, are made anew.
fn forget_made_names(original: &Original, kind: Kind, config: &mut Object) {
    if field(config, "Hostname") == original.short_id() || original.host("UTSMode") == "host" {
        config.remove("Hostname");
    }
    if original.shares_network() {
        for name in ["Hostname", "Domainname", "ExposedPorts"] {
            config.remove(name);
        }
    }
    if original.mac_per_network() || original.shares_network() || kind != Kind::Replacement {
        config.remove("MacAddress");
    }
}

fn once_each(host: &mut Object, list: &str) {
    let Some(Value::Array(list)) = host.get_mut(list) else { return };
    let mut seen: Vec<Value> = Vec::new();
    list.retain(|one| {
        let new = !seen.contains(one);
        seen.push(one.clone());
        new
    });
}

fn name_of(change: &str) -> &str {
    change.split_once('=').map_or(change, |(name, _)| name)
}

fn change_env(config: &mut Object, changes: &[String]) {
    let env = field(config, "Env").as_array().into_iter().flatten();
    let env = env.filter_map(|variable| variable.as_str().map(str::to_owned)).collect();
    config.insert("Env".to_owned(), json!(changed_env(env, changes)));
}

/// `name=value` adds or replaces, `name` removes.
fn changed_env(mut env: Vec<String>, changes: &[String]) -> Vec<String> {
    for change in changes {
        let name = name_of(change);
        let place = env.iter().position(|variable| name_of(variable) == name);
        match (place, change.contains('=')) {
            (Some(place), true) => env[place].clone_from(change),
            (Some(place), false) => drop(env.remove(place)),
            (None, true) => env.push(change.clone()),
            (None, false) => {}
        }
    }
    env
}

fn change_labels(config: &mut Object, overrides: &Overrides) {
    let labels = labels(config);
    for change in &overrides.labels {
        match change.split_once('=') {
            Some((name, value)) => drop(labels.insert(name.to_owned(), json!(value))),
            None => drop(labels.remove(change)),
        }
    }
    if overrides.replica > 0 {
        labels.insert(REPLICA.to_owned(), json!(overrides.replica.to_string()));
    } else {
        labels.remove(REPLICA);
    }
    if overrides.one_shot {
        labels.insert(ONE_OFF.to_owned(), json!("True"));
    }
}

/// By these labels the new container is found and completed, and those that used the original find it.
fn add_own_labels(
    original: &Original,
    kind: Kind,
    networks: &Networks,
    (config, mark): (&mut Object, Mark<'_>),
) {
    let labels = labels(config);
    let earlier = labels.remove(REPLACES);
    if kind == Kind::Replacement {
        let earlier = earlier.as_ref().and_then(Value::as_str).unwrap_or_default();
        let replaced = std::iter::once(original.id()).chain(earlier.split(',').filter(|id| name::is_id(id)));
        let replaced: Vec<&str> = replaced.take(MAX_REPLACED).collect();
        labels.insert(REPLACES.to_owned(), json!(replaced.join(",")));
    }
    labels.insert(CALL.to_owned(), json!(mark.call_key));
    labels.insert(ORIGIN.to_owned(), json!(original.id()));
    labels.insert(NETWORKS.to_owned(), json!(networks.label()));
}

fn labels(config: &mut Object) -> &mut Object {
    let labels = config.entry("Labels").or_insert_with(|| json!({}));
    if !labels.is_object() {
        *labels = json!({});
    }
    match labels {
        Value::Object(labels) => labels,
        _ => unreachable!("it was just made one"),
    }
}

/// One task, then the end: nothing restarts it, reaches it from outside, or takes it for a replica.
fn one_shot(config: &mut Object, host: &mut Object) {
    host.insert("RestartPolicy".to_owned(), json!({ "Name": "no" }));
    host.remove("PortBindings");
    host.insert("PublishAllPorts".to_owned(), json!(false));
    config.remove("ExposedPorts");
    config.insert("Healthcheck".to_owned(), json!({ "Test": ["NONE"] }));
    for terminal in ["Tty", "OpenStdin", "StdinOnce"] {
        config.insert(terminal.to_owned(), json!(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_add_replace_and_remove() {
        let env = vec!["A=1".to_owned(), "B=2".to_owned()];
        let changes = ["A=3".to_owned(), "B".to_owned(), "C=".to_owned(), "D".to_owned()];
        assert_eq!(changed_env(env, &changes), ["A=3", "C="]);
    }

    #[test]
    fn reserved_labels_and_nameless_changes_are_refused() {
        let with = |env: &[&str], labels: &[&str]| {
            let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            check(&Overrides { env: own(env), labels: own(labels), ..Overrides::default() })
        };
        assert!(with(&["A=1"], &["team=x"]).is_ok());
        let refused = with(&["=secret"], &[]).unwrap_err();
        assert!(!refused.failure.message.contains("secret"));
        assert!(with(&[], &["com.docker.compose.service=db"]).is_err());
        assert!(with(&[], &["runbook.call"]).is_err());
    }

    #[test]
    fn names_of_images_stay_in_their_path() {
        for image in
            ["web", "web:1", "registry.example:5000/team/web:1.2", &format!("web@sha256:{}", "0".repeat(64))]
        {
            assert!(is_image(image), "{image}");
        }
        for image in ["", "../x", "a/../b", "a?b", "a b", "a//b", ":1"] {
            assert!(!is_image(image), "{image}");
        }
    }
}
