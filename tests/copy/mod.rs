//! A copy is a copy: `recreate` and `scale` against what two versions of Docker say of odd containers and of projects
//! that Compose made. `make copies` does it with every odd container, each run of the tests with those of the first groups.

mod compare;
mod compose;
pub(crate) mod daemon;
mod odd;

use std::fmt::Write as _;

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
        let filter = filter.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
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

/// A step type, its inputs, and the services that it is done to.
type Copying<'a> = (&'static str, &'static str, Vec<&'a str>);

fn recreate<'a>(services: impl IntoIterator<Item = &'a str>) -> Copying<'a> {
    ("recreate", "grace: 1s, accept_weak_evidence: true", services.into_iter().collect())
}

fn scale<'a>(services: impl IntoIterator<Item = &'a str>) -> Copying<'a> {
    ("scale", "replicas: 2, grace: 1s", services.into_iter().collect())
}

/// A runbook that does some steps, each to some services at once.
fn book(project: &str, steps: &[Copying<'_>]) -> String {
    let mut text = format!(
        "format: 1\nrunbook: copy-them\nsummary: Copy containers.\nrisk: medium\ngrants:\n  containers:\n    \
         select: {{ project: {project} }}\n    actions: [read, create, stop, start, remove]\nsteps:\n"
    );
    for (step, with, services) in steps {
        let services: Vec<String> = services.iter().map(|one| format!("'{project}/{one}'")).collect();
        let services = services.join(", ");
        let _ = write!(
            text,
            "  - id: {step}\n    uses: service.{step}\n    with: {{ service: \"${{{{ item }}}}\", {with} }}\n    \
             for_each: \"[{services}]\"\n    max_parallel: 6\n"
        );
    }
    text
}

fn copy(engine: &Engine, project: &Project, steps: &[Copying<'_>]) {
    let book = engine.write("copy.yaml", &book(&project.name, steps));
    engine.must(0, &["run", &book, "--yes"]);
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

/// How many groups are copied in every run of the tests.
const FEW: usize = 3;

/// Makes a group after the other, and copies each container of it in both ways.
pub(crate) fn recreated_and_scaled(daemon: &Daemon, most: usize) {
    let project = Project::new(daemon.clone());
    let subnet = prepare(&project);
    let engine = Engine::new().env("DOCKER_HOST", daemon.host());
    for group in odd::groups(daemon).iter().take(most) {
        for one in group {
            make(&project, one, &subnet);
        }
        copied(&engine, &project, group);
        refused(&engine, &project, group);
        project.clear();
    }
}

fn copied(engine: &Engine, project: &Project, group: &[Odd]) {
    let services = |wanted: &dyn Fn(&Odd) -> bool| -> Vec<&str> {
        group.iter().filter(|one| wanted(one)).map(|one| one.service).collect()
    };
    let pairs = |services: &[&str], number: u32| -> Vec<(String, String)> {
        let name = |service: &&str, number: u32| format!("{}-{service}-{number}", project.name);
        services.iter().map(|service| (name(service, 1), name(service, number))).collect()
    };
    let further = services(&|one| one.alone.is_none());
    let owners = services(&|one| OWNERS.contains(&one.service));
    let others = services(&|one| !OWNERS.contains(&one.service));
    let before = Seen::of(project);
    if owners.is_empty() {
        copy(engine, project, &[recreate(others.clone()), scale(further.clone())]);
        let after = Seen::of(project);
        check(&before, &after, &pairs(&others, 1), As::Replacement);
        check(&after, &after, &pairs(&further, 2), As::Further);
        return;
    }
    copy(engine, project, &[recreate(others.clone())]);
    let between = Seen::of(project);
    check(&before, &between, &pairs(&others, 1), As::Replacement);
    let users = services(&|one| USERS.contains(&one.service));
    copy(engine, project, &[recreate(owners.clone())]);
    copy(engine, project, &[recreate(users.clone()), scale(further.clone())]);
    let after = Seen::of(project);
    check(&between, &after, &pairs(&[owners, users].concat(), 1), As::Replacement);
    check(&after, &after, &pairs(&further, 2), As::Further);
}

/// Of some there can be no second one: the plan says why.
fn refused(engine: &Engine, project: &Project, group: &[Odd]) {
    for one in group {
        let Some(why) = one.alone else { continue };
        let book = engine.write("copy.yaml", &book(&project.name, &[scale([one.service])]));
        let plan = engine.run(&["plan", &book]);
        assert!(plan.stdout.contains(why) || plan.stderr.contains(why), "{}: {plan:?}", one.service);
    }
}

#[test]
fn odd_containers_are_copied_on_the_machines_docker() {
    recreated_and_scaled(&daemon::own(), FEW);
}

#[test]
fn odd_containers_are_copied_on_a_newer_docker() {
    let daemon = daemon::newer();
    assert!(daemon.knows(45), "it is newer");
    recreated_and_scaled(&daemon, FEW);
}

/// Makes what containers need, and tells the number of their subnet.
fn prepare(project: &Project) -> String {
    let Project { daemon, name } = project;
    let label = json!({ "com.docker.compose.project": name });
    let made = (0..250).find(|number| {
        let config = json!([{ "Subnet": format!("10.213.{number}.0/24") }]);
        let body = json!({ "Name": format!("{name}-a"), "CheckDuplicate": true, "Labels": label,
            "IPAM": { "Driver": "default", "Config": config } });
        daemon.ask("POST", "/networks/create", Some(&body)).0 < 400
    });
    daemon.must("POST", "/networks/create", Some(&json!({ "Name": format!("{name}-b"), "Labels": label })));
    for volume in ["named", "other"] {
        let body = json!({ "Name": format!("{name}-{volume}"), "Labels": label });
        daemon.must("POST", "/volumes/create", Some(&body));
    }
    // An image with an entry point.
    let (image, container) = (format!("{name}-entry"), format!("{name}-entry"));
    let labelled = format!("LABEL com.docker.compose.project={name}");
    let entry = "ENTRYPOINT [\"/bin/busybox\", \"env\"]";
    let changes = ["--change", entry, "--change", "CMD [\"serve\"]", "--change", &labelled];
    daemon.docker(&["create", "--name", &container, "runbook-test:1"]);
    daemon.docker(&[&["commit"], changes.as_slice(), &[&container, &image]].concat());
    daemon.docker(&["rm", &container]);
    made.expect("a subnet that nobody has").to_string()
}

/// Makes a container and starts it.
fn make(project: &Project, one: &Odd, subnet: &str) {
    let Project { daemon, name } = project;
    let network = daemon.must("GET", &format!("/networks/{name}-a"), None);
    let network = network["Id"].as_str().expect("an id");
    let whole = |value: &Value| -> Value {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one").port();
        let text = value.to_string().replace("#@-a", network).replace('@', name).replace('%', subnet);
        serde_json::from_str(&text.replace('?', &port.to_string())).expect("still a request")
    };
    let mut body = whole(&one.body);
    for (field, value) in [("Image", json!("runbook-test:1")), ("Env", json!(["START_DELAY=0"]))] {
        if body.get(field).is_none() {
            body[field] = value;
        }
    }
    for (label, value) in [("project", name.as_str()), ("service", one.service), ("container-number", "1")] {
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
}
