//! The engine against the real daemon: what is asserted is what Docker says happened.

use std::process::Command;

use serde_json::json;

use super::{engine_with, request};
use crate::journal::fold;
use crate::replay;
use audit::Reader;
use run::event::EndStatus;

/// Three replicas of a service of its own name, removed when dropped.
struct Service {
    project: String,
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker client");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Service {
    fn start(project: &str, replicas: u32) -> Self {
        let service = Self { project: project.to_owned() };
        for number in 1..=replicas {
            let name = service.replica(number);
            let _ = Command::new("docker").args(["rm", "-f", &name]).output();
            docker(&[
                "run",
                "-d",
                "--name",
                &name,
                "--label",
                &format!("com.docker.compose.project={project}"),
                "--label",
                "com.docker.compose.service=web",
                "--label",
                &format!("com.docker.compose.container-number={number}"),
                "runbook-test:1",
            ]);
        }
        for number in 1..=replicas {
            while docker(&["inspect", "-f", "{{.State.Health.Status}}", &service.replica(number)])
                != "healthy"
            {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        service
    }

    fn replica(&self, number: u32) -> String {
        format!("{}-web-{number}", self.project)
    }

    fn started_at(&self, number: u32) -> String {
        docker(&["inspect", "-f", "{{.State.StartedAt}}", &self.replica(number)])
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for number in 1..=9 {
            let _ = Command::new("docker").args(["rm", "-f", &self.replica(number)]).output();
        }
    }
}

fn restart(grants: &str) -> String {
    format!(
        r#"
format: 1
runbook: restart-it
summary: Restart a service.
risk: medium
parameters:
  service: {{ type: string }}
grants:
  containers:
    select: {{ service: "${{{{ parameters.service }}}}" }}
{grants}
steps:
  - id: restart
    summary: Restart it.
    uses: service.restart
    with: {{ service: "${{{{ parameters.service }}}}", grace: 1s }}
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_happens_once_as_planned_and_replays_without_a_daemon() {
    let service = Service::start("runbook-engine-a", 2);
    let before: Vec<String> = (1..=2).map(|n| service.started_at(n)).collect();
    let dir = tempfile::tempdir().unwrap();
    let engine = engine_with(dir.path());
    let text = restart("    actions: [read, restart]");
    let mut wish = request(&text, &json!({ "service": "runbook-engine-a/web" }));
    let plan = engine.plan(wish.clone()).await.unwrap();
    let planned: Vec<_> = plan.writes.iter().map(|w| format!("{} {}", w.function, w.target)).collect();
    assert_eq!(
        planned,
        [
            "containers.stop runbook-engine-a-web-1",
            "containers.start runbook-engine-a-web-1",
            "containers.stop runbook-engine-a-web-2",
            "containers.start runbook-engine-a-web-2",
        ]
    );
    assert_eq!((plan.status, plan.unknown.len()), (EndStatus::Succeeded, 0));
    assert_eq!((1..=2).map(|n| service.started_at(n)).collect::<Vec<_>>(), before, "a plan touches nothing");

    wish.plan = Some(plan.digest);
    let run = engine.submit(wish.clone()).await.unwrap();
    engine.settled(&run).await;
    let refused = engine.submit(wish).await.expect_err("the world has changed");
    assert!(refused.to_string().contains("changed since the plan"), "{refused}");
    engine.drain().await;
    let state = fold(&Reader::open(dir.path()).unwrap(), &run).unwrap();
    assert_eq!(state.end().map(|end| (end.status, end.message.clone())).unwrap().0, EndStatus::Succeeded);
    for number in 1..=2 {
        assert_ne!(service.started_at(number), before[number as usize - 1]);
    }
    drop(service);
    let replay = replay::replay(dir.path(), &run, &super::keeper(dir.path())).await.unwrap();
    assert_eq!((replay.attempts, replay.differences), (1, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_the_grant_is_denied_and_touches_nothing() {
    let service = Service::start("runbook-engine-b", 1);
    let before = service.started_at(1);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine_with(dir.path());
    // `kill` is granted to satisfy no need of the step; the parser would refuse the text without any.
    let text = restart("    actions: [read, stop, start]")
        .replace("actions: [read, stop, start]", "actions: [read]");
    let refused = engine.submit(request(&text, &json!({ "service": "runbook-engine-b/web" }))).await;
    assert!(refused.is_err(), "the parser already knows what the step needs");
    assert_eq!(service.started_at(1), before);
}
