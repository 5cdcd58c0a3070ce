//! Copies of containers that use others, and of those whose networks changed since they were made.

use serde_json::json;

use crate::NewSecrets;
use crate::daemon::write;
use crate::exchange::Exchange;
use crate::tests::bed::{Bed, docker};
use crate::types::{Container, Overrides};
use crate::{Decision, Error, decision};
use words::effect::FailureKind;

async fn replacement(bed: &Bed, id: &str, name: &str) -> Result<Container, Error> {
    let overrides = Overrides { replica: 1, ..Overrides::default() };
    let key = format!("{}-{name}", bed.name);
    bed.daemon.create(id, &bed.named(name), &overrides, &NewSecrets::default(), &key).await
}

#[tokio::test]
async fn what_uses_a_container_uses_its_replacement() {
    let bed = Bed::new();
    let owner = bed.service("owner", 1, &["--ipc", "shareable"]).remove(0);
    let of = format!("container:{owner}");
    let arguments =
        ["--network", &of, "--ipc", &of, "--pid", &of, "--volumes-from", &owner, "--no-healthcheck"];
    let side = bed.service("side", 1, &arguments).remove(0);
    let first = replacement(&bed, &owner, "first").await.unwrap();
    docker(&["rm", "-f", &owner]);
    let second = replacement(&bed, &first.id, "second").await.unwrap();
    docker(&["rm", "-f", &first.id]);

    let copy = replacement(&bed, &side, "copy").await.unwrap();
    let modes = "{{.HostConfig.NetworkMode}} {{.HostConfig.IpcMode}} {{.HostConfig.PidMode}} {{.HostConfig.VolumesFrom}}";
    let now = format!("container:{}", second.id);
    assert_eq!(Bed::look(&copy.id, modes), format!("{now} {now} {now} [{}]", second.id));

    docker(&["rm", "-f", &second.id]);
    let refused = replacement(&bed, &side, "other").await.unwrap_err();
    assert_eq!(
        (refused.failure.code.as_str(), refused.certain),
        ("containers.owner-gone", true),
        "{refused}"
    );
    let refused = bed.daemon.refuse_uncopyable(&side, &Overrides::default(), |_| false).await.unwrap_err();
    assert_eq!(refused.failure.kind, FailureKind::Conflict, "the plan refuses it too");
}

#[tokio::test]
async fn a_network_that_was_left_is_left_by_the_copy_also_after_a_crash() {
    let bed = Bed::new();
    let (label, network) = (format!("runbook-test-bed={}", bed.name), bed.named("net"));
    docker(&["network", "create", "--label", &label, &network]);
    let id = bed.service("web", 1, &[]).remove(0);
    docker(&["network", "connect", &network, &id]);
    docker(&["network", "disconnect", "bridge", &id]);
    let made = replacement(&bed, &id, "copy").await.unwrap();
    let networks = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(Bed::look(&made.id, networks), network);
    // As a crash between making and leaving leaves it.
    docker(&["network", "connect", "bridge", &made.id]);
    bed.daemon.find_by_call(&format!("{}-copy", bed.name)).await.unwrap().unwrap();
    assert_eq!(Bed::look(&made.id, networks), network);
}

#[tokio::test]
async fn a_network_that_is_gone_is_refused_by_name() {
    let bed = Bed::new();
    let (label, network) = (format!("runbook-test-bed={}", bed.name), bed.named("net"));
    docker(&["network", "create", "--label", &label, &network]);
    let id = bed.service("web", 1, &["--network", &network]).remove(0);
    docker(&["kill", &id]);
    docker(&["network", "rm", &network]);
    let refused = replacement(&bed, &id, "copy").await.unwrap_err();
    assert!(refused.failure.message.contains(&network) && refused.certain, "{refused}");
}

#[tokio::test]
async fn a_fixed_address_goes_to_a_replacement_and_to_nobody_else() {
    let bed = Bed::new();
    // The newest `docker` program cannot ask this of an older daemon.
    let body = json!({ "Image": "runbook-test:1", "MacAddress": "02:42:ac:11:aa:5d", "Hostname": "db",
        "Labels": { "runbook-test-bed": bed.name, "com.docker.compose.container-number": "1" } });
    let path = format!("/containers/create?name={}", bed.named("web"));
    let id =
        bed.daemon.exchange(write("create container", "web"), Exchange::post(path, &body)).await.unwrap();
    let id = id["Id"].as_str().unwrap().to_owned();
    let look = "{{.Config.MacAddress}} {{.Config.Hostname}}";
    let made = replacement(&bed, &id, "copy").await.unwrap();
    assert_eq!(Bed::look(&made.id, look), "02:42:ac:11:aa:5d db");
    let overrides = Overrides { replica: 2, ..Overrides::default() };
    let key = format!("{}-two", bed.name);
    let name = bed.named("two");
    let further = bed.daemon.create(&id, &name, &overrides, &NewSecrets::default(), &key).await.unwrap();
    assert!(!Bed::look(&further.id, look).contains("02:42:ac:11:aa:5d"));
    assert_eq!(
        decision(&["Config", "MacAddress"]).map(|one| matches!(one, Decision::Derived(_))),
        Some(true)
    );
}

#[tokio::test]
async fn a_further_replica_of_a_replacement_has_volumes_of_its_own() {
    let bed = Bed::new();
    let id = bed.service("db", 1, &["--volume", "/data", "--mount", "type=volume,target=/typed"]).remove(0);
    docker(&["exec", &id, "touch", "/data/precious", "/typed/precious"]);
    let made = replacement(&bed, &id, "copy").await.unwrap();
    bed.daemon.start(&made.id).await.unwrap();
    assert_eq!(docker(&["exec", &made.id, "ls", "/data", "/typed"]).matches("precious").count(), 2);
    let overrides = Overrides { replica: 2, ..Overrides::default() };
    let key = format!("{}-two", bed.name);
    let name = bed.named("two");
    let further = bed.daemon.create(&made.id, &name, &overrides, &NewSecrets::default(), &key).await.unwrap();
    bed.daemon.start(&further.id).await.unwrap();
    assert!(!docker(&["exec", &further.id, "ls", "/data", "/typed"]).contains("precious"));
}
