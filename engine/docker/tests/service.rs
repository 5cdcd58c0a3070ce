//! Which containers a service is made of.

use crate::tests::bed::Bed;
use words::effect::FailureKind;

#[tokio::test]
async fn a_bare_service_in_two_projects_is_ambiguous() {
    let bed = Bed::new();
    let service = bed.named("web");
    let label = format!("com.docker.compose.service={service}");
    for project in ["shop", "blog"] {
        let project_label = format!("com.docker.compose.project={}-{project}", bed.name);
        bed.run(project, &["--label", &project_label, "--label", &label]);
    }
    let refused = bed.daemon.service(&service).await.unwrap_err();
    assert_eq!(refused.failure.kind, FailureKind::Invalid);
    for project in ["shop", "blog"] {
        let named = format!("`{}-{project}/{service}`", bed.name);
        assert!(refused.failure.message.contains(&named), "{refused}");
    }
    assert_eq!(bed.daemon.service(&format!("{}-shop/{service}", bed.name)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_off_containers_are_no_part_of_a_service() {
    let bed = Bed::new();
    bed.service("web", 1, &[]);
    bed.service("job", 1, &["--label", "com.docker.compose.oneoff=True"]);
    assert_eq!(bed.daemon.service(&format!("{}/web", bed.name)).await.unwrap().len(), 1);
    assert!(bed.daemon.service(&format!("{}/job", bed.name)).await.unwrap_err().is_not_found());
    let project = bed.daemon.project(&bed.name).await.unwrap();
    assert_eq!(project.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), [bed.named("web-1")]);
    assert_eq!(bed.daemon.labelled("runbook-test-bed", &bed.name).await.unwrap().len(), 2);
}

#[tokio::test]
async fn our_own_label_and_a_lone_container_are_services_too() {
    let bed = Bed::new();
    let own = bed.named("edge");
    let label = format!("runbook.service={own}");
    bed.run("a", &["--label", &label, "--publish", "127.0.0.1::8080"]);
    bed.run("b", &["--label", &label, "--memory", "64m", "--cpus", "0.5"]);
    let found = bed.daemon.service(&own).await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|one| one.service == own));
    assert!(found[0].ports[0].host_port > 0 && found[1].ports[0].host_port == 0);
    assert_eq!((found[1].limits.cpu_millis, found[1].limits.memory_bytes), (500, 64 << 20));
    bed.run("lone", &[]);
    let lone = bed.daemon.service(&bed.named("lone")).await.unwrap();
    assert_eq!((lone.len(), lone[0].service.as_str()), (1, bed.named("lone").as_str()));
}

#[tokio::test]
async fn a_misspelt_service_is_not_found_with_a_suggestion() {
    let bed = Bed::new();
    bed.service("web", 1, &["--label", "com.docker.compose.depends_on=db:service_healthy:false"]);
    let wrong = format!("{}/wbe", bed.name);
    let missing = bed.daemon.service(&wrong).await.unwrap_err();
    assert!(missing.failure.message.contains(&format!("`{}/web`", bed.name)), "{missing}");
    let found = bed.daemon.service(&format!("{}/web", bed.name)).await.unwrap();
    assert_eq!(found[0].depends_on, [format!("{}/db", bed.name)]);
    assert!(bed.daemon.project(&bed.named("none")).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn what_a_restart_breaks_or_must_restart() {
    let bed = Bed::new();
    let owner = bed.service("vpn", 1, &["--stop-timeout", "60", "--stop-signal", "SIGINT"]).remove(0);
    let network = format!("container:{owner}");
    let side = bed.service("side", 1, &["--network", &network]).remove(0);
    let depends = |restart: &str| format!("com.docker.compose.depends_on=vpn:service_started:{restart}");
    let restarted = bed.service("web", 1, &["--label", &depends("true")]).remove(0);
    bed.service("calm", 1, &["--label", &depends("false")]);
    let owners = bed.daemon.service(&format!("{}/vpn", bed.name)).await.unwrap();
    assert_eq!((owners[0].stop_timeout_ms, owners[0].stop_signal.as_str()), (Some(60_000), "SIGINT"));
    let found = bed.daemon.dependents(&owners).await.unwrap();
    let mut ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
    ids.sort_unstable();
    let mut wanted = [side.as_str(), restarted.as_str()];
    wanted.sort_unstable();
    assert_eq!(ids, wanted);
    let shares: Vec<_> = found.iter().filter_map(|one| one.network_owner.as_deref()).collect();
    assert_eq!(shares, [owner.as_str()]);
}
