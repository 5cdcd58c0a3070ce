//! Plugins that use what they were given to do more harm than they were given it for.

use super::arena::{Arena, Case, Told};
use super::component::{Arg, Guest};
use crate::support::docker::docker;
use crate::support::docker_events::most_down;
use crate::support::service::Service;

const REPLICAS: u32 = 4;
const SIGNALS: [&str; 24] = [
    "KILL", "SIGKILL", "9", "kill", "sigkill", "TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "STOP", "TSTP",
    "ABRT", "PIPE", "ALRM", "CONT", "WINCH", "0", "", "-9", "RTMIN+3", " KILL", "KILL\n",
];

fn on_all(name: &'static str, ids: &[String], call: impl Fn(&mut Guest, &str) -> String) -> Case {
    let mut guest = Guest::new();
    let body: Vec<String> = ids.iter().map(|id| call(&mut guest, id)).collect();
    Case::new(name, guest.does(&body.join("\n")))
}

fn takers(ids: &[String]) -> Vec<Case> {
    use Arg::{Long, Number, Text};
    vec![
        on_all("stop-all", ids, |g, id| g.call("containers.stop", &[Text(id), Long(0)])),
        on_all("pause-all", ids, |g, id| g.call("containers.pause", &[Text(id)])),
        on_all("signal-all", ids, |g, id| {
            SIGNALS.map(|signal| g.call("containers.kill", &[Text(id), Text(signal)])).join("\n")
        }),
        on_all("long-grace", ids, |g, id| g.call("containers.stop", &[Text(id), Long(u64::MAX)])),
        on_all("remove-running", ids, |g, id| g.call("containers.remove", &[Text(id), Number(0)])),
    ]
}

/// What stands under `grants`.
fn grants(service: &Service, actions: &str, budget: &str) -> String {
    let name = service.name();
    format!(
        "grants:\n  containers:\n    select: {{ service: {name} }}\n    actions: [{actions}]\n    {budget}"
    )
}

/// Those of which somebody asked the daemon something.
fn touched(service: &Service, mark: usize) -> Vec<String> {
    let mut names: Vec<String> = service.events.writes(mark).into_iter().map(|(_, name)| name).collect();
    names.sort();
    names.dedup();
    names
}

fn count(told: &Told, step: &str, code: &str) -> usize {
    told.calls(step).iter().filter(|(_, known)| known == code).count()
}

#[test]
fn more_at_once_than_was_granted() {
    let service = Service::of(REPLICAS).up();
    let ids: Vec<String> = (1..=REPLICAS).map(|number| service.inspect(number, "{{.Id}}")).collect();
    let cases = takers(&ids);
    let arena = Arena::of(&cases);
    let mark = service.events.mark();

    let told = arena.run(&grants(&service, "read, stop, kill, pause", "max_unavailable: 1"), &cases);

    assert_eq!(touched(&service, mark).len(), 1, "one was granted: {:?}", service.events.writes(mark));
    assert!(most_down(&service.events.since(mark)) <= 1);
    for case in &cases {
        assert_eq!(told.end_of(case.name), "ok", "{}", case.name);
        let refused = match case.name {
            "long-grace" => count(&told, case.name, "containers.grace"),
            "remove-running" => count(&told, case.name, "grant.containers"),
            _ => count(&told, case.name, "grant.budget"),
        };
        assert!(refused + 1 >= ids.len(), "{}: {:?}", case.name, told.calls(case.name));
    }
    arena.end(&told);
}

#[test]
fn more_removed_than_may_be_missing() {
    let service = Service::of(REPLICAS).up();
    let ids: Vec<String> = (1..=REPLICAS).map(|number| service.inspect(number, "{{.Id}}")).collect();
    let cases = [
        on_all("force", &ids, |g, id| g.call("containers.remove", &[Arg::Text(id), Arg::Number(1)])),
        on_all("running", &ids, |g, id| g.call("containers.remove", &[Arg::Text(id), Arg::Number(0)])),
    ];
    let arena = Arena::of(&cases);
    let mark = service.events.mark();

    let budget = "max_unavailable: 1\n    min_healthy: 3";
    let told = arena.run(&grants(&service, "read, remove", budget), &cases);

    assert_eq!(touched(&service, mark).len(), 1, "{:?}", service.events.writes(mark));
    assert_eq!(service.containers().len(), 3);
    assert_eq!(count(&told, "force", "grant.budget"), 3, "{:?}", told.calls("force"));
    assert!(count(&told, "running", "containers.running") >= 3, "{:?}", told.calls("running"));
    arena.end(&told);
}

/// Overrides that ask for power: the words of labels, environment, image and command.
fn creators(own: &str, victim: &str) -> Vec<Case> {
    use Arg::{List, Maybe, MaybeList, Number, Text};
    let create = |name: &'static str,
                  new: &str,
                  env: &[&str],
                  labels: &[&str],
                  image: Option<&str>,
                  command: Option<&[&str]>| {
        let mut guest = Guest::new();
        let call = guest.call(
            "containers.create",
            &[
                Text(own),
                Text(new),
                List(env),
                List(labels),
                Maybe(image),
                MaybeList(command),
                Number(1),
                Number(0),
            ],
        );
        Case::new(name, guest.does(&call))
    };
    let project = format!("com.docker.compose.project={victim}");
    let upper = format!("Com.Docker.Compose.Project={victim}");
    let blank = format!(" com.docker.compose.project={victim}");
    let service = format!("runbook.service={victim}/web");
    let plain = |name, labels: &[&str]| create(name, &format!("{own}-{name}"), &[], labels, None, None);
    vec![
        plain("project-label", &[&project]),
        plain("upper-label", &[&upper]),
        plain("blank-label", &[&blank]),
        plain("service-label", &[&service]),
        plain("call-label", &["runbook.call=0"]),
        plain("no-project", &["com.docker.compose.project"]),
        create("flag-name", "--privileged", &[], &[], None, None),
        create("path-name", "../../etc", &[], &[], None, None),
        create("taken-name", &format!("{victim}-web-1"), &[], &[], None, None),
        create("flag-image", &format!("{own}-i"), &[], &[], Some("--privileged runbook-test:1"), None),
        create("path-image", &format!("{own}-j"), &[], &[], Some("../../containers/create"), None),
        create("registry-image", &format!("{own}-k"), &[], &[], Some("169.254.169.254/x:1"), None),
        create(
            "words",
            &format!("{own}-power"),
            &["PRIVILEGED=1", "DOCKER_HOST=unix:///var/run/docker.sock", "LD_PRELOAD=/x"],
            &["privileged=true", "a=b,type=bind,source=/,target=/host"],
            None,
            Some(&["--privileged", "--pid=host", "-v", "/:/host"]),
        ),
    ]
}

#[test]
fn overrides_that_ask_for_power() {
    let (own, victim) = (Service::of(1).up(), Service::of(1).up());
    let cases = creators(&own.replica(1), victim.project());
    let arena = Arena::of(&cases);
    let mark = victim.events.mark();

    let told = arena.run(&grants(&own, "read, create", ""), &cases);

    assert_eq!(victim.events.writes(mark), []);
    assert_eq!(victim.containers(), [victim.replica(1)], "nothing passes for another service's");
    for case in &cases {
        let calls = told.calls(case.name);
        assert_eq!(calls.len(), 1, "{}", case.name);
        assert_eq!(calls[0].1 == "ok", case.name == "words", "{}: {calls:?}", case.name);
    }
    let power = "{{.HostConfig.Privileged}} {{.HostConfig.Binds}} {{.HostConfig.PidMode}} {{.HostConfig.NetworkMode}} {{.HostConfig.Devices}} {{.HostConfig.CapAdd}} {{.Mounts}}";
    let made = docker(&["inspect", "--format", power, &format!("{}-power", own.replica(1))]);
    assert_eq!(made, own.inspect(1, power), "no more than the original");
    arena.end(&told);
}
