//! The spec of a new container from that of another: pure, no daemon is asked here.
//!
//! Everything is kept that makes a replica a replica (environment, mounts, limits, capabilities, networks with their
//! aliases); what is one container's own (host name, addresses, fixed host ports) is not. Nothing is ever added to
//! what the original may do.

use std::collections::HashMap;

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HealthConfig,
    HostConfig, ImageConfig, MountPoint, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};

use crate::containers::error::Error;
use crate::containers::exec::check_identity;
use crate::containers::files::NewSecrets;
use crate::containers::labels::{CALL, Labels, NETWORKS, ONE_OFF, ORIGIN, OVERRIDES, REPLICA};
use crate::containers::name;
use crate::containers::types::Overrides;
pub(crate) use crate::model::container_text::is_image;

/// How much of its id Docker makes a container's host name and alias.
const SHORT_ID_CHARS: usize = 12;

/// A container to be, and the networks that it joins after it is made.
pub(crate) struct Clone {
    pub(crate) body: ContainerCreateBody,
    pub(crate) joins: Vec<Join>,
}

impl Clone {
    /// Puts secrets into the environment.
    pub(crate) fn add_env(&mut self, secrets: &NewSecrets) {
        let env = self.body.env.take().unwrap_or_default();
        self.body.env = Some(changed_env(env, &secrets.variables().collect::<Vec<_>>()));
    }

    /// Writes down what it was to have differently; what the original was to have is forgotten.
    pub(crate) fn note_overrides(&mut self, digest: Option<String>) {
        let labels = self.body.labels.get_or_insert_default();
        match digest {
            Some(digest) => drop(labels.insert(OVERRIDES.to_owned(), digest)),
            None => drop(labels.remove(OVERRIDES)),
        }
    }
}

/// One network to join.
pub(crate) struct Join {
    /// The network's name.
    pub(crate) network: String,
    pub(crate) end: EndpointSettings,
}

/// Which image the new container has.
pub(crate) struct Image {
    /// As Docker is asked for it.
    pub(crate) name: String,
    /// What the old image brought, if the new one is another: it is taken out, so that the new one's own applies.
    pub(crate) replaces: Option<ImageConfig>,
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

/// The clone of `origin`, marked with the call that makes it.
pub(crate) fn clone(
    origin: &ContainerInspectResponse,
    image: Image,
    overrides: &Overrides,
    call_key: &str,
) -> Result<Clone, Error> {
    let id = origin.id.clone().unwrap_or_default();
    let mut host = origin.host_config.clone().unwrap_or_default();
    let mut config = origin.config.clone().unwrap_or_default();
    if host.auto_remove.unwrap_or(false) && !overrides.one_shot {
        return Err(Error::conflict(
            "containers.auto-remove",
            "the original was started with `--rm`: a replica of it would vanish when stopped".to_owned(),
        ));
    }
    if let Some(old) = &image.replaces {
        forget_image(&mut config, old);
    }
    keep_own_host_name(&mut config, &host, &id);
    if is_replacement(origin, overrides) {
        volumes(origin, &mut host);
    }
    host.container_id_file = None;
    host.auto_remove = Some(false);
    config.image = Some(image.name);
    config.env = Some(changed_env(config.env.take().unwrap_or_default(), &overrides.env));
    if let Some(command) = &overrides.command {
        // Both are given, so that nothing of the image's is added.
        config.entrypoint = Some(command[..1].to_vec());
        config.cmd = Some(command[1..].to_vec());
    }
    config.user = overrides.user.clone().or(config.user);
    config.working_dir = overrides.workdir.clone().or(config.working_dir);
    if overrides.one_shot {
        one_shot(&mut config, &mut host);
    }
    let (first, joins) = networks(origin, &host, overrides.one_shot);
    let networks: Vec<&str> = joins.iter().map(|join| join.network.as_str()).collect();
    let mut labels = changed_labels(config.labels.take().unwrap_or_default(), overrides);
    labels.insert(CALL.to_owned(), call_key.to_owned());
    labels.insert(ORIGIN.to_owned(), id);
    labels.insert(NETWORKS.to_owned(), networks.join(","));
    config.labels = Some(labels);
    Ok(Clone { body: body(config, host, first), joins })
}

fn name_of(change: &str) -> &str {
    change.split_once('=').map_or(change, |(name, _)| name)
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

fn changed_labels(mut labels: HashMap<String, String>, overrides: &Overrides) -> HashMap<String, String> {
    for change in &overrides.labels {
        match change.split_once('=') {
            Some((name, value)) => drop(labels.insert(name.to_owned(), value.to_owned())),
            None => drop(labels.remove(change)),
        }
    }
    if overrides.replica > 0 {
        labels.insert(REPLICA.to_owned(), overrides.replica.to_string());
    } else {
        labels.remove(REPLICA);
    }
    if overrides.one_shot {
        labels.insert(ONE_OFF.to_owned(), "True".to_owned());
    }
    labels
}

/// An inspected config holds what its image brought; with another image, the other's must apply instead.
fn forget_image(config: &mut ContainerConfig, old: &ImageConfig) {
    fn forget<T: PartialEq>(of: &mut Option<T>, old: Option<&T>) {
        if of.as_ref() == old {
            *of = None;
        }
    }
    if let (Some(env), Some(old)) = (&mut config.env, &old.env) {
        env.retain(|variable| !old.contains(variable));
    }
    if let (Some(labels), Some(old)) = (&mut config.labels, &old.labels) {
        labels.retain(|name, value| old.get(name) != Some(value));
    }
    if let (Some(ports), Some(old)) = (&mut config.exposed_ports, &old.exposed_ports) {
        ports.retain(|port| !old.contains(port));
    }
    if let (Some(volumes), Some(old)) = (&mut config.volumes, &old.volumes) {
        volumes.retain(|volume| !old.contains(volume));
    }
    forget(&mut config.cmd, old.cmd.as_ref());
    forget(&mut config.entrypoint, old.entrypoint.as_ref());
    forget(&mut config.working_dir, old.working_dir.as_ref());
    forget(&mut config.user, old.user.as_ref());
    forget(&mut config.healthcheck, old.healthcheck.as_ref());
    forget(&mut config.stop_signal, old.stop_signal.as_ref());
    forget(&mut config.shell, old.shell.as_ref());
    forget(&mut config.on_build, old.on_build.as_ref());
}

/// A host name that Docker made of the id is made anew; one that somebody chose stays, where it may be set at all.
fn keep_own_host_name(config: &mut ContainerConfig, host: &HostConfig, id: &str) {
    let borrowed =
        host.network_mode.as_deref().is_some_and(|mode| mode == "host" || mode.starts_with("container:"))
            || host.uts_mode.as_deref() == Some("host");
    let made = config.hostname.as_deref().is_some_and(|name| !name.is_empty() && id.starts_with(name));
    if borrowed || made {
        config.hostname = None;
    }
    if borrowed {
        config.domainname = None;
    }
}

/// Whether the new container takes the place of the original, which is stopped before the new one starts, rather than
/// standing beside it: the replica number tells.
pub(crate) fn is_replacement(origin: &ContainerInspectResponse, overrides: &Overrides) -> bool {
    let labels = origin.config.as_ref().and_then(|config| config.labels.as_ref());
    !overrides.one_shot && labels.map_or(0, |labels| Labels(labels).replica()) == overrides.replica
}

/// A volume without a name belongs to one container. A replacement takes it over; a further replica gets its own.
fn volumes(origin: &ContainerInspectResponse, host: &mut HostConfig) {
    let nameless = origin.mounts.iter().flatten().filter(|mount| is_nameless(mount));
    for mount in nameless {
        let (Some(volume), Some(place)) = (&mount.name, &mount.destination) else { continue };
        let typed = host.mounts.iter_mut().flatten().find(|typed| typed.target.as_ref() == Some(place));
        if let Some(typed) = typed {
            typed.source = Some(volume.clone());
        } else {
            let mode = if mount.rw == Some(false) { ":ro" } else { "" };
            host.binds.get_or_insert_default().push(format!("{volume}:{place}{mode}"));
        }
    }
}

/// Docker names volumes that nobody named with 64 hex digits.
fn is_nameless(mount: &MountPoint) -> bool {
    mount.typ.as_deref() == Some("volume") && mount.name.as_deref().is_some_and(name::is_id)
}

/// One task, then the end: nothing restarts it, reaches it from outside, or takes it for a replica.
fn one_shot(config: &mut ContainerConfig, host: &mut HostConfig) {
    host.restart_policy =
        Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None });
    host.port_bindings = None;
    host.publish_all_ports = Some(false);
    config.exposed_ports = None;
    config.healthcheck =
        Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() });
    config.tty = Some(false);
    config.open_stdin = Some(false);
    config.stdin_once = Some(false);
}

/// The network that the container is made with, and those that it joins then: daemons before API 1.44 take only one at
/// the making.
pub(crate) fn networks(
    origin: &ContainerInspectResponse,
    host: &HostConfig,
    one_shot: bool,
) -> (Option<Join>, Vec<Join>) {
    let mode = host.network_mode.as_deref().unwrap_or("default");
    if mode == "host" || mode == "none" || mode.starts_with("container:") {
        return (None, Vec::new());
    }
    let mut joins: Vec<Join> = origin
        .network_settings
        .iter()
        .flat_map(|settings| settings.networks.iter().flatten())
        .filter(|(network, _)| name::is_name(network))
        .map(|(network, end)| Join { network: network.clone(), end: end_of(origin, network, end, one_shot) })
        .collect();
    joins.sort_by(|a, b| a.network.cmp(&b.network));
    let is_first = |join: &Join| {
        let id = origin
            .network_settings
            .as_ref()
            .and_then(|settings| settings.networks.as_ref()?.get(&join.network)?.network_id.as_deref());
        join.network == mode || id == Some(mode) || (join.network == "bridge" && mode == "default")
    };
    let first = joins.iter().position(is_first).map(|place| joins.remove(place));
    (first, joins)
}

fn end_of(
    origin: &ContainerInspectResponse,
    network: &str,
    end: &EndpointSettings,
    one_shot: bool,
) -> EndpointSettings {
    let id = origin.id.as_deref().unwrap_or_default();
    let short: String = id.chars().take(SHORT_ID_CHARS).collect();
    let own_name = origin.name.as_deref().unwrap_or_default().trim_start_matches('/');
    // A one-shot container must not be found under the service's name; Docker's default network has no aliases.
    let has_aliases = !one_shot && network != "bridge";
    let aliases = end.aliases.iter().flatten().filter(|alias| **alias != short && alias.as_str() != own_name);
    EndpointSettings {
        aliases: has_aliases.then(|| aliases.cloned().collect()),
        links: end.links.clone(),
        driver_opts: end.driver_opts.clone(),
        ipam_config: if one_shot { None } else { end.ipam_config.clone() },
        ..EndpointSettings::default()
    }
}

fn body(config: ContainerConfig, host: HostConfig, first: Option<Join>) -> ContainerCreateBody {
    let ends = first.map(|join| HashMap::from([(join.network, join.end)]));
    ContainerCreateBody {
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        exposed_ports: config.exposed_ports,
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env,
        cmd: config.cmd,
        healthcheck: config.healthcheck,
        args_escaped: config.args_escaped,
        image: config.image,
        volumes: config.volumes,
        working_dir: config.working_dir,
        entrypoint: config.entrypoint,
        network_disabled: config.network_disabled,
        on_build: config.on_build,
        labels: config.labels,
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        shell: config.shell,
        host_config: Some(host),
        networking_config: ends.map(|ends| NetworkingConfig { endpoints_config: Some(ends) }),
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
