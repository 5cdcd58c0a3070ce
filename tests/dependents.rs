//! Who shares the network of a container, or is to be restarted with it, goes along.

use crate::support::docker::{IMAGE, docker};
use crate::support::engine::Engine;
use crate::support::service::Service;

/// A container of another service of the project; dropped with the project.
fn beside(service: &Service, name: &str, arguments: &[&str]) -> String {
    let whole = format!("{}-{name}-1", service.project());
    let labels = [
        format!("com.docker.compose.project={}", service.project()),
        format!("com.docker.compose.service={name}"),
        "com.docker.compose.container-number=1".to_owned(),
    ];
    let mut all = vec!["run", "--detach", "--name", &whole, "--env", "START_DELAY=0"];
    all.extend(labels.iter().flat_map(|label| ["--label", label]));
    all.extend(arguments);
    all.push(IMAGE);
    if arguments.contains(&"--network") {
        // The port of the test image is the owner's there.
        all.extend(["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]);
    }
    docker(&all);
    whole
}

fn look(name: &str, template: &str) -> String {
    docker(&["inspect", "--format", template, name])
}

/// How many addresses it has: with a network of its own or of another, more than that of the machine itself.
fn addresses(name: &str) -> usize {
    docker(&["exec", name, "ip", "-4", "-o", "addr"]).lines().count()
}

#[test]
fn they_are_restarted_with_their_owner_and_replaced_with_it() {
    let service = Service::of(1).env("START_DELAY=0").up();
    let owner = service.replica(1);
    let network = format!("container:{owner}");
    let side = beside(&service, "side", &["--no-healthcheck", "--network", &network]);
    let app = beside(&service, "app", &["--label", "com.docker.compose.depends_on=web:service_started:true"]);
    let other =
        beside(&service, "other", &["--label", "com.docker.compose.depends_on=web:service_started:false"]);
    let started = |name: &str| look(name, "{{.State.StartedAt}}");
    let untouched = started(&other);
    let engine = Engine::new();

    let plan = engine.must(0, &["plan", "service-restart", "-p", &service.parameter()]).stdout;
    for words in ["also", &format!("{}/side", service.project()), &format!("local/{}/app", service.project())]
    {
        assert!(plan.contains(words), "{words} in {plan}");
    }
    engine.must(0, &["run", "service-restart", "-p", &service.parameter(), "--yes"]);
    assert_eq!(addresses(&side), 2);
    assert!(started(&side) > started(&owner) && started(&app) > started(&owner));

    engine.must(0, &["run", "service-recreate", "-p", &service.parameter(), "--yes"]);
    let now = format!("container:{}", look(&owner, "{{.Id}}"));
    assert_eq!((look(&side, "{{.HostConfig.NetworkMode}}"), addresses(&side)), (now, 2));
    assert!(started(&app) > started(&owner));
    assert_eq!(started(&other), untouched, "it does not ask to be restarted");
    assert_eq!(service.containers().len(), 4);
}

#[test]
fn one_whose_network_is_gone_is_told_before_it_is_stopped() {
    let service = Service::of(1).env("START_DELAY=0").up();
    let network = format!("container:{}", service.replica(1));
    let side = beside(&service, "side", &["--no-healthcheck", "--network", &network]);
    docker(&["rm", "--force", &service.replica(1)]);
    let parameter = format!("service={}/side", service.project());
    let engine = Engine::new();
    let weak = "accept_weak_evidence=true";
    let told = engine.run(&["run", "service-restart", "-p", &parameter, "-p", weak, "--yes"]);
    assert_ne!(told.code, 0);
    assert!(told.stderr.contains("service recreate") || told.stdout.contains("service recreate"), "{told:?}");
    assert_eq!(look(&side, "{{.State.Running}}"), "true");
}
