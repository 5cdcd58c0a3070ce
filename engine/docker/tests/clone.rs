//! New containers from old ones.

use std::time::Duration;

use crate::NewSecrets;
use crate::tests::bed::{Bed, docker};
use crate::types::{Condition, Container, Overrides, State};
use words::effect::FailureKind;

const PATIENCE: Duration = Duration::from_secs(20);

fn key(bed: &Bed, text: &str) -> String {
    format!("{}-{text}", bed.name)
}

fn none() -> NewSecrets {
    NewSecrets::default()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn env(container: &Container) -> Vec<String> {
    Bed::look(&container.id, "{{range .Config.Env}}{{println .}}{{end}}").lines().map(str::to_owned).collect()
}

/// Networks of the bed, removed with it.
fn networks(bed: &Bed, names: [&str; 2]) -> [String; 2] {
    let label = format!("runbook-test-bed={}", bed.name);
    names.map(|name| {
        let name = bed.named(name);
        docker(&["network", "create", "--label", &label, &name]);
        name
    })
}

fn aliases(id: &str, network: &str) -> String {
    Bed::look(id, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").Aliases}}}}"))
}

#[tokio::test]
async fn a_replica_is_cloned_with_everything_that_makes_it_one() {
    let bed = Bed::new();
    let label = format!("runbook-test-bed={}", bed.name);
    let data = bed.named("data");
    docker(&["volume", "create", "--label", &label, &data]);
    let mount = format!("{data}:/data");
    let arguments = "--env SECRET=s3cret --env MODE=a --memory 64m --cpus 0.5 --restart on-failure:3 \
                     --cap-drop NET_RAW --read-only --tmpfs /www --tmpfs /var --user 0:0 --stop-signal TERM \
                     --stop-timeout 7 --label team=shop --publish 8080 --security-opt no-new-privileges \
                     --health-retries 9 --volume";
    let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
    arguments.push(&mount);
    let id = bed.service("web", 1, &arguments).remove(0);

    let overrides = Overrides { env: texts(&["MODE=b", "NEW=1"]), replica: 2, ..Overrides::default() };
    let made =
        bed.daemon.create(&id, &bed.named("web-2"), &overrides, &none(), &key(&bed, "k")).await.unwrap();
    assert_eq!((made.state, made.replica), (State::Created, 2));
    assert_eq!(made.service, format!("{}/web", bed.name));
    let env = env(&made);
    for variable in ["SECRET=s3cret", "MODE=b", "NEW=1"] {
        assert!(env.iter().any(|one| one == variable), "{variable} in {env:?}");
    }
    assert!(!env.iter().any(|one| one == "MODE=a"));
    for template in [
        "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy}} {{.HostConfig.Binds}}",
        "{{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Privileged}}",
        "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Tmpfs}} {{.HostConfig.PortBindings}} {{.HostConfig.NetworkMode}}",
        "{{.Config.User}} {{.Config.StopSignal}} {{.Config.StopTimeout}} {{.Config.Cmd}} {{.Config.Healthcheck}}",
        "{{.Config.Image}} {{.Image}} {{index .Config.Labels \"team\"}} {{.HostConfig.Devices}} {{.HostConfig.PidMode}}",
    ] {
        assert_eq!(Bed::look(&made.id, template), Bed::look(&id, template));
    }
    assert_ne!(Bed::look(&made.id, "{{.Config.Hostname}}"), Bed::look(&id, "{{.Config.Hostname}}"));
    bed.daemon.start(&made.id).await.unwrap();
    let made = bed.daemon.wait_until(&made.id, Condition::HealthyFor(0), PATIENCE).await.unwrap();
    assert!(made.ports[0].host_port > 0);
    let service = bed.daemon.service(&format!("{}/web", bed.name)).await.unwrap();
    assert_eq!(service.iter().map(|one| one.replica).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_clone_is_on_every_network_under_the_services_names() {
    let bed = Bed::new();
    let [front, back] = networks(&bed, ["front", "back"]);
    let id = bed.service("web", 1, &["--network", &front, "--network-alias", "web"]).remove(0);
    docker(&["network", "connect", "--alias", "web-back", &back, &id]);
    let made = bed
        .daemon
        .create(&id, &bed.named("two"), &Overrides::default(), &none(), &key(&bed, "k"))
        .await
        .unwrap();
    let made = bed.daemon.start(&made.id).await.unwrap();
    assert_eq!(made.addresses.len(), 2);
    assert!(aliases(&made.id, &front).contains("web") && aliases(&made.id, &back).contains("web-back"));
    assert!(!aliases(&made.id, &front).contains(&id[..12]));
}

#[tokio::test]
async fn a_clone_is_found_by_its_call_and_completed() {
    let bed = Bed::new();
    let [front, back] = networks(&bed, ["front", "back"]);
    let id = bed.service("web", 1, &["--network", &front]).remove(0);
    docker(&["network", "connect", "--alias", "behind", &back, &id]);
    let call = key(&bed, "k");
    assert!(bed.daemon.find_by_call(&call).await.unwrap().is_none());
    let made =
        bed.daemon.create(&id, &bed.named("web-2"), &Overrides::default(), &none(), &call).await.unwrap();
    assert_eq!(bed.daemon.find_by_call(&call).await.unwrap().unwrap(), made);
    // As a crash between making and joining leaves it.
    docker(&["network", "disconnect", &back, &made.id]);
    bed.daemon.find_by_call(&call).await.unwrap().unwrap();
    assert!(aliases(&made.id, &back).contains("behind"));
    docker(&["network", "disconnect", &back, &made.id]);
    docker(&["rm", "-f", &id]);
    assert!(bed.daemon.find_by_call(&call).await.unwrap().is_none());
}

#[tokio::test]
async fn a_call_that_is_sent_twice_makes_one_container() {
    let bed = Bed::new();
    let id = bed.service("web", 1, &[]).remove(0);
    let (name, call, overrides) = (bed.named("web-2"), key(&bed, "k"), Overrides::default());
    let none = none();
    let (first, second) = tokio::join!(
        bed.daemon.create(&id, &name, &overrides, &none, &call),
        bed.daemon.create(&id, &name, &overrides, &none, &call)
    );
    assert_eq!(first.unwrap().id, second.unwrap().id);
    let other = bed.daemon.create(&id, &name, &overrides, &none, &key(&bed, "other")).await.unwrap_err();
    assert!(other.certain && other.failure.kind == FailureKind::AlreadyExists, "{other}");
}

#[tokio::test]
async fn a_one_shot_container_is_no_replica() {
    let bed = Bed::new();
    let label = format!("runbook-test-bed={}", bed.name);
    let network = bed.named("net");
    docker(&["network", "create", "--label", &label, &network]);
    let id =
        bed.service("web", 1, &["--network", &network, "--network-alias", "web", "--env", "A=1"]).remove(0);
    let overrides = Overrides {
        command: Some(texts(&["sh", "-c", "echo $A $B; exit 3"])),
        env: texts(&["B=2"]),
        one_shot: true,
        ..Overrides::default()
    };
    let job = bed.daemon.create(&id, &bed.named("job"), &overrides, &none(), &key(&bed, "k")).await.unwrap();
    bed.daemon.start(&job.id).await.unwrap();
    let ended = bed.daemon.wait_until(&job.id, Condition::Exited, PATIENCE).await.unwrap();
    assert_eq!(ended.exit_code, 3);
    assert_eq!(bed.daemon.logs(&job.id, 10, false).await.unwrap(), "1 2\n");
    assert_eq!(
        Bed::look(&job.id, "{{.HostConfig.RestartPolicy.Name}} {{.Config.Healthcheck.Test}}"),
        "no [NONE]"
    );
    assert!(!aliases(&job.id, &network).contains("web"));
    assert_eq!(bed.daemon.service(&format!("{}/web", bed.name)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_would_clash_is_refused_by_name() {
    let bed = Bed::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publish = format!("127.0.0.1:{port}:8080");
    let id = bed.service("web", 1, &["--publish", &publish]).remove(0);
    let clone = async |name: &str, replica| {
        let overrides = Overrides { replica, ..Overrides::default() };
        bed.daemon.create(&id, &bed.named(name), &overrides, &none(), &key(&bed, name)).await
    };
    let refused = clone("two", 2).await.unwrap_err();
    assert!(refused.certain && refused.failure.kind == FailureKind::Conflict);
    assert!(refused.failure.message.contains(&format!("{port}/tcp")), "{refused}");
    let replacement = clone("two", 1).await.unwrap();
    let overrides = Overrides { replica: 1, ..Overrides::default() };
    let other = key(&bed, "another call");
    let taken = bed.daemon.create(&id, &bed.named("two"), &overrides, &none(), &other).await.unwrap_err();
    assert!(taken.certain && taken.failure.kind == FailureKind::AlreadyExists, "{taken}");
    // It starts after the original has stopped.
    bed.daemon.stop(&id, Duration::from_secs(5)).await.unwrap();
    assert_eq!(bed.daemon.start(&replacement.id).await.unwrap().ports[0].host_port, port);
}

#[tokio::test]
async fn another_image_brings_its_own_defaults() {
    let bed = Bed::new();
    let id = bed.service("web", 1, &["--env", "OWN=1"]).remove(0);
    let image = |image: &str| Overrides { image: Some(image.to_owned()), replica: 1, ..Overrides::default() };
    let made = bed
        .daemon
        .create(&id, &bed.named("new"), &image("runbook-test:2"), &none(), &key(&bed, "k"))
        .await
        .unwrap();
    assert_eq!(made.image, "runbook-test:2");
    assert_eq!(made.image_id, bed.daemon.image_id("runbook-test:2").await.unwrap());
    let env = env(&made);
    assert!(env.contains(&"TEST_VERSION=2".to_owned()) && env.contains(&"OWN=1".to_owned()), "{env:?}");
    let missing = bed
        .daemon
        .create(&id, &bed.named("x"), &image("nowhere:1"), &none(), &key(&bed, "x"))
        .await
        .unwrap_err();
    assert!(missing.certain && missing.failure.message.contains("docker pull nowhere:1"), "{missing}");
}

#[tokio::test]
async fn a_nameless_volume_goes_to_the_replacement_only() {
    let bed = Bed::new();
    let id = bed.service("db", 1, &["--volume", "/data"]).remove(0);
    docker(&["exec", &id, "touch", "/data/precious"]);
    let clone = async |name: &str, replica| {
        let overrides = Overrides { replica, ..Overrides::default() };
        let made =
            bed.daemon.create(&id, &bed.named(name), &overrides, &none(), &key(&bed, name)).await.unwrap();
        bed.daemon.start(&made.id).await.unwrap();
        docker(&["exec", &made.id, "ls", "/data"])
    };
    assert_eq!(clone("replacement", 1).await, "precious");
    assert_eq!(clone("second", 2).await, "");
}

#[tokio::test]
async fn what_the_image_brings_cannot_be_taken_away_in_silence() {
    let bed = Bed::new();
    let id = bed.service("web", 1, &["--env", "MODE=a"]).remove(0);
    let create = async |change: &str| {
        let overrides = Overrides { env: texts(&[change]), replica: 2, ..Overrides::default() };
        bed.daemon.create(&id, &bed.named("web-2"), &overrides, &none(), &key(&bed, change)).await
    };
    let refused = create("TEST_VERSION").await.unwrap_err();
    assert_eq!(refused.failure.code, "containers.of-image", "{refused}");
    let made = create("MODE").await.unwrap();
    assert!(!env(&made).iter().any(|one| one.starts_with("MODE=")), "what the container brought goes");
}
