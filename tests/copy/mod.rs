//! A copy is a copy: `recreate` and `scale` against what two versions of Docker say of odd containers and of projects
//! that Compose made.

mod compare;
mod compose;
mod daemon;
mod odd;

use serde_json::{Value, json};

use self::compare::{As, Told, differences, nameless};
use self::daemon::{Daemon, Project};
use self::odd::Odd;
use crate::support::engine::Engine;

/// What others use: they are copied last, and those who use them once more.
const OWNERS: [&str; 3] = ["shared", "plain", "nameless"];
const USERS: [&str; 4] = ["sidecar", "guest", "from", "link"];

/// Documents of all containers of a project, by name.
struct Seen {
    documents: Vec<Value>,
    others: Vec<(String, String)>,
    mac_per_network: bool,
}

impl Seen {
    fn of(project: &Project) -> Self {
        let filter = format!("{{\"label\":[\"com.docker.compose.project={}\"]}}", project.name);
        let filter: String = filter.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let listed = project.daemon.must("GET", &format!("/containers/json?all=1&filters={filter}"), None);
        let ids = listed.as_array().expect("a list").iter().map(|one| one["Id"].as_str().expect("an id"));
        let documents: Vec<Value> = ids.map(|id| project.daemon.inspect(id)).collect();
        let text = |value: &Value| value.as_str().expect("a text").trim_start_matches('/').to_owned();
        let others = documents.iter().map(|one| (text(&one["Id"]), text(&one["Name"]))).collect();
        Self { documents, others, mac_per_network: project.daemon.knows(44) }
    }

    fn document(&self, name: &str) -> &Value {
        let found = self.documents.iter().find(|one| one["Name"] == format!("/{name}"));
        found.unwrap_or_else(|| panic!("no container {name}"))
    }

    fn told(&self, name: &str) -> Told<'_> {
        let document = self.document(name);
        Told { document, others: &self.others, mac_per_network: self.mac_per_network }
    }
}

/// A runbook that does one step to each of some services.
fn book(project: &str, uses: &str, with: &str) -> String {
    format!(
        r#"format: 1
runbook: copy-them
summary: Copy containers.
risk: medium
parameters:
  names: {{ type: list }}
grants:
  containers:
    select: {{ project: {project} }}
    actions: [read, create, stop, start, remove]
steps:
  - id: each
    uses: {uses}
    with: {{ service: "${{{{ item }}}}", {with} }}
    for_each: parameters.names
    max_parallel: 6
"#
    )
}

const RECREATE: (&str, &str) = ("service.recreate", "grace: 1s, accept_weak_evidence: true");
const SCALE: (&str, &str) = ("service.scale", "replicas: 2, grace: 1s");

fn names<'a>(project: &Project, services: impl Iterator<Item = &'a str>) -> String {
    let whole: Vec<String> = services.map(|service| format!("{}/{service}", project.name)).collect();
    format!("names={}", whole.join(","))
}

/// How many services one run copies: few enough for the patience with a run on a busy machine.
const AT_ONCE: usize = 6;

fn copy<'a>(engine: &Engine, project: &Project, step: (&str, &str), services: impl Iterator<Item = &'a str>) {
    let book = engine.write("copy.yaml", &book(&project.name, step.0, step.1));
    let services: Vec<&str> = services.collect();
    for some in services.chunks(AT_ONCE) {
        engine.must(0, &["run", &book, "-p", &names(project, some.iter().copied()), "--yes"]);
    }
}

fn check(before: &Seen, after: &Seen, pairs: &[(String, String)], how: As) {
    let mut wrong = Vec::new();
    for (original, copy) in pairs {
        let (one, other) = (before.told(original), after.told(copy));
        assert_ne!(one.document["Id"], other.document["Id"], "{copy} is not new");
        assert_eq!(other.document["State"]["Running"], true, "{copy}");
        wrong.extend(differences(&one, &other, how).iter().map(|text| format!("{copy}: {text}")));
        let (had, has) = (nameless(one.document), nameless(other.document));
        match how {
            As::Replacement => assert_eq!(had, has, "{copy}"),
            As::Further if copy.contains("-from-") => {}
            As::Further => assert!(had.is_disjoint(&has) && had.len() == has.len(), "{copy}: {has:?}"),
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

fn recreated_and_scaled(daemon: &Daemon) {
    let project = Project::new(daemon.clone());
    let mut all = odd::containers();
    all.extend(odd::newer(daemon));
    make(&project, &all);
    let engine = Engine::new().env("DOCKER_HOST", daemon.host());
    let services = || all.iter().map(|one| one.service);
    let first = |service: &str| format!("{}-{service}-1", project.name);

    let before = Seen::of(&project);
    copy(&engine, &project, RECREATE, services().filter(|service| !OWNERS.contains(service)));
    let between = Seen::of(&project);
    let pairs = |services: &mut dyn Iterator<Item = &str>| -> Vec<_> {
        services.map(|service| (first(service), first(service))).collect()
    };
    check(&before, &between, &pairs(&mut services().filter(|s| !OWNERS.contains(s))), As::Replacement);
    copy(&engine, &project, RECREATE, OWNERS.into_iter());
    copy(&engine, &project, RECREATE, USERS.into_iter());
    let after = Seen::of(&project);
    check(&between, &after, &pairs(&mut OWNERS.into_iter().chain(USERS)), As::Replacement);

    copy(&engine, &project, SCALE, all.iter().filter(|one| one.alone.is_none()).map(|one| one.service));
    let scaled = Seen::of(&project);
    let pairs: Vec<_> = all
        .iter()
        .filter(|one| one.alone.is_none())
        .map(|one| (first(one.service), format!("{}-{}-2", project.name, one.service)))
        .collect();
    check(&after, &scaled, &pairs, As::Further);
    let book = engine.write("copy.yaml", &book(&project.name, SCALE.0, SCALE.1));
    for one in all.iter() {
        let Some(why) = one.alone else { continue };
        let plan = engine.run(&["plan", &book, "-p", &names(&project, [one.service].into_iter())]);
        assert!(plan.stdout.contains(why) || plan.stderr.contains(why), "{}: {plan:?}", one.service);
    }
}

#[test]
fn odd_containers_are_copied_on_the_machines_docker() {
    recreated_and_scaled(&daemon::own());
}

#[test]
fn odd_containers_are_copied_on_a_newer_docker() {
    let newer = daemon::newer();
    assert!(newer.knows(45), "it is newer");
    recreated_and_scaled(&newer);
}

/// Makes what containers need, then all of them.
fn make(project: &Project, all: &[Odd]) {
    let Project { daemon, name } = project;
    let label = json!({ "com.docker.compose.project": name });
    let made = (0..250).find(|number| {
        let config = json!([{ "Subnet": format!("10.213.{number}.0/24") }]);
        let body = json!({ "Name": format!("{name}-a"), "CheckDuplicate": true, "Labels": label,
            "IPAM": { "Driver": "default", "Config": config } });
        daemon.ask("POST", "/networks/create", Some(&body)).0 < 400
    });
    let subnet = made.expect("a subnet that nobody has").to_string();
    daemon.must("POST", "/networks/create", Some(&json!({ "Name": format!("{name}-b"), "Labels": label })));
    for volume in ["named", "other"] {
        let body = json!({ "Name": format!("{name}-{volume}"), "Labels": label });
        daemon.must("POST", "/volumes/create", Some(&body));
    }
    let network = daemon.must("GET", &format!("/networks/{name}-a"), None);
    let network = network["Id"].as_str().expect("an id");
    let whole = |value: &Value| -> Value {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one").port();
        let text = value.to_string().replace("#@-a", network).replace('@', name).replace('%', &subnet);
        serde_json::from_str(&text.replace('?', &port.to_string())).expect("still a request")
    };
    for (index, one) in all.iter().enumerate() {
        let mut body = whole(&one.body);
        for (field, value) in [("Image", json!("runbook-test:1")), ("Env", json!(["START_DELAY=0"]))] {
            if body.get(field).is_none() {
                body[field] = value;
            }
        }
        for (label, value) in
            [("project", name.as_str()), ("service", one.service), ("container-number", "1")]
        {
            body["Labels"][format!("com.docker.compose.{label}")] = json!(value);
        }
        let container = format!("{name}-{}-1", one.service);
        daemon.must("POST", &format!("/containers/create?name={container}"), Some(&body));
        for (network, end) in &one.joins {
            let body = json!({ "Container": container, "EndpointConfig": whole(end) });
            daemon.must("POST", &format!("/networks/{}/connect", network.replace('@', name)), Some(&body));
        }
        if one.leaves_bridge {
            daemon.must("POST", "/networks/bridge/disconnect", Some(&json!({ "Container": container })));
        }
        daemon.must("POST", &format!("/containers/{container}/start"), None);
        if index == 0 {
            let project = format!("LABEL com.docker.compose.project={name}");
            let entry = "ENTRYPOINT [\"/bin/busybox\", \"env\"]";
            let image = format!("{name}-entry");
            let command = "CMD [\"serve\"]";
            let changes = ["--change", entry, "--change", command, "--change", &project];
            daemon.docker(&[&["commit"], changes.as_slice(), &[&container, &image]].concat());
        }
    }
}
