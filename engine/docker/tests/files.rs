//! Secrets in new containers.

use std::sync::Arc;
use std::time::Duration;

use crate::NewSecrets;
use crate::tests::bed::{Bed, docker};
use crate::types::{Condition, Overrides};
use words::effect::FailureKind;
use words::secret::SecretValue;

const PATIENCE: Duration = Duration::from_secs(20);

fn value(text: &str) -> Arc<SecretValue> {
    Arc::new(SecretValue::new(text.to_owned()).unwrap())
}

fn in_file(path: &str) -> NewSecrets {
    NewSecrets { env: Vec::new(), files: vec![(path.to_owned(), value("in a file"))] }
}

fn job(script: &str) -> Overrides {
    let command = ["sh", "-c", script].iter().map(|word| (*word).to_owned()).collect();
    Overrides { command: Some(command), one_shot: true, ..Overrides::default() }
}

async fn printed(bed: &Bed, id: &str) -> String {
    bed.daemon.start(id).await.unwrap();
    bed.daemon.wait_until(id, Condition::Exited, PATIENCE).await.unwrap();
    bed.daemon.logs(id, 10, false).await.unwrap()
}

#[tokio::test]
async fn a_container_has_them_before_it_starts() {
    let bed = Bed::new();
    let id = bed.run("web", &["--env", "A=old"]);
    let mut secrets = in_file("/run/secrets/deep/x");
    secrets.env.push(("A".to_owned(), value("in the env\nof two lines")));
    let overrides = job("echo \"$A\"; cat /run/secrets/deep/x; stat -c ' %a %u' /run/secrets/deep/x");
    let call = format!("{}-k", bed.name);
    let made = bed.daemon.create(&id, &bed.named("job"), &overrides, &secrets, &call).await.unwrap();
    // As after a crash that left it without its files, or with them.
    let found = bed.daemon.find_by_call(&call).await.unwrap().unwrap();
    bed.daemon.put_files(&found, &secrets.files).await.unwrap();
    assert_eq!(printed(&bed, &made.id).await, "in the env\nof two lines\nin a file 400 0\n");
}

#[tokio::test]
async fn a_file_is_its_users() {
    let bed = Bed::new();
    let made = async |user: &str| {
        let id = bed.run(&format!("of-{}", &user[..4]), &["--user", user]);
        let name = bed.named(&format!("job-{}", &user[..4]));
        let overrides = job("cat /x; stat -c ' %a %u' /x");
        bed.daemon.create(&id, &name, &overrides, &in_file("/x"), &name).await
    };
    for (user, wanted) in [("1234:99", "in a file 400 1234\n"), ("service", "in a file 400 1000\n")] {
        assert_eq!(printed(&bed, &made(user).await.unwrap().id).await, wanted);
    }
    let name = bed.named("of-nobo");
    docker(&[
        "create",
        "--name",
        &name,
        "--label",
        &format!("runbook-test-bed={}", bed.name),
        "--user",
        "nobody",
        "runbook-test:1",
    ]);
    let job_name = bed.named("job-nobo");
    let id = Bed::look(&name, "{{.Id}}");
    let error = bed.daemon.create(&id, &job_name, &job("true"), &in_file("/x"), &job_name).await.unwrap_err();
    assert!(error.certain && error.failure.code == "containers.user", "{error}");
    assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", &format!("name={job_name}")]), "");
}

#[tokio::test]
async fn where_no_file_can_be_nothing_is_left() {
    let bed = Bed::new();
    let id = bed.run("web", &["--tmpfs", "/run", "--volume", "/data"]);
    for path in ["/run/x", "/data/x", "/proc/x", "relative"] {
        let name = bed.named("job");
        let error = bed.daemon.create(&id, &name, &job("true"), &in_file(path), &name).await.unwrap_err();
        assert!(error.certain && error.failure.kind == FailureKind::Invalid, "{path}: {error}");
        assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", &format!("name={name}")]), "", "{path}");
    }
    let id = bed.run("read-only", &["--read-only"]);
    let name = bed.named("job");
    let error = bed.daemon.create(&id, &name, &job("true"), &in_file("/x"), &name).await.unwrap_err();
    assert!(error.certain, "{error}");
    assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", &format!("name={name}")]), "");
}
