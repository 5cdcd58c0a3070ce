//! Every kind of run that takes part. A runbook of the library or a step type that changes anything and is in no `covers`
//! here fails the test `everything_that_writes_takes_part`.

use super::effects::Effects;
use super::shape::{Bed, Shape, as_it_is, nothing_else};
use crate::support::books;
use crate::support::docker::{IMAGE, docker, try_docker};
use crate::support::patience::until_true;
use crate::support::service::next_number;
use crate::support::vault;

const WEB: Shape = Shape {
    name: "",
    covers: &[],
    replicas: 1,
    env: &[],
    arguments: |_| Vec::new(),
    prepare: as_it_is,
    also: nothing_else,
    ends: "succeeded",
    once: false,
};

/// All of them.
pub(crate) const SHAPES: [Shape; 19] = [
    Shape {
        name: "restart",
        covers: &["service-restart", "service.restart"],
        replicas: 2,
        arguments: |bed| library(bed, "service-restart", &["grace=20s"]),
        ..WEB
    },
    Shape {
        name: "force-restart",
        covers: &["service-force-restart"],
        arguments: |bed| library(bed, "service-force-restart", &[]),
        ..WEB
    },
    Shape {
        name: "recreate",
        covers: &["service-recreate", "service.recreate"],
        arguments: |bed| {
            let env = format!("env={{\"ROUND\":\"{}\"}}", next_number());
            library(bed, "service-recreate", &["grace=20s", &env])
        },
        ..WEB
    },
    Shape {
        name: "scale-out",
        covers: &["service-scale", "service.scale"],
        arguments: |bed| library(bed, "service-scale", &["replicas=2", "grace=20s"]),
        prepare: |bed| drop(try_docker(&["rm", "--force", "--volumes", &bed.service.replica(2)])),
        ..WEB
    },
    Shape {
        name: "scale-in",
        arguments: |bed| library(bed, "service-scale", &["replicas=1", "grace=20s"]),
        prepare: |bed| {
            if !bed.service.containers().contains(&bed.service.replica(2)) {
                bed.service.add_replica(2);
            }
        },
        ..WEB
    },
    Shape {
        name: "resize",
        covers: &["service-resize", "service.resize"],
        arguments: |bed| {
            let memory = format!("memory={}MiB", 64 + next_number() % 4000);
            library(bed, "service-resize", &[&memory])
        },
        ..WEB
    },
    Shape {
        name: "stop",
        covers: &["service-stop", "service.stop"],
        replicas: 2,
        arguments: |bed| library(bed, "service-stop", &["grace=20s"]),
        prepare: |bed| drop(docker(&["start", &bed.service.replica(1), &bed.service.replica(2)])),
        ..WEB
    },
    Shape {
        name: "start",
        covers: &["service-start", "service.start"],
        replicas: 2,
        arguments: |bed| library(bed, "service-start", &[]),
        prepare: |bed| drop(docker(&["stop", "-t", "1", &bed.service.replica(1), &bed.service.replica(2)])),
        ..WEB
    },
    Shape {
        name: "pause",
        covers: &["service-pause", "service.pause"],
        replicas: 2,
        arguments: |bed| library(bed, "service-pause", &[]),
        prepare: |bed| drop(try_docker(&["unpause", &bed.service.replica(1), &bed.service.replica(2)])),
        ..WEB
    },
    Shape {
        name: "unpause",
        covers: &["service-unpause", "service.unpause"],
        replicas: 2,
        arguments: |bed| library(bed, "service-unpause", &[]),
        prepare: |bed| drop(try_docker(&["pause", &bed.service.replica(1), &bed.service.replica(2)])),
        ..WEB
    },
    Shape {
        name: "signal",
        covers: &["service-signal", "service.signal"],
        arguments: |bed| library(bed, "service-signal", &["signal=TERM"]),
        prepare: |bed| {
            docker(&["start", &bed.service.replica(1)]);
            until_true("the replica to be healthy", || bed.service.is_healthy(1));
        },
        once: true,
        ..WEB
    },
    Shape {
        name: "stack-restart",
        covers: &["stack-restart"],
        arguments: |bed| {
            let project = format!("project={}", bed.service.project());
            words(&["stack-restart", "-p", &project, "-p", "grace=20s", "--yes"])
        },
        prepare: |bed| {
            let name = format!("{}-db-1", bed.service.project());
            if !bed.service.containers().contains(&name) {
                let project = format!("com.docker.compose.project={}", bed.service.project());
                let service = "com.docker.compose.service=db";
                docker(&["run", "--detach", "--name", &name, "--label", &project, "--label", service, IMAGE]);
                until_true("the second service", || {
                    docker(&["inspect", "--format", "{{.State.Health.Status}}", &name]) == "healthy"
                });
            }
        },
        ..WEB
    },
    Shape {
        name: "script",
        covers: &["container-script", "container.script"],
        arguments: |bed| library(bed, "container-script", &["body=echo ran >>/tmp/ran"]),
        also: lines_written,
        ..WEB
    },
    Shape {
        name: "one-shot-script",
        arguments: |bed| library(bed, "container-script", &["body=true", "one_shot=true"]),
        ..WEB
    },
    Shape {
        name: "commands",
        covers: &["container.exec", "container.run", "state.set", "state.delete"],
        arguments: |bed| {
            let keep_it = "  state: [{ bucket: sweep, actions: [read, write] }]\n";
            book(bed, "commands.yaml", &books::granted(RUN_COMMANDS, keep_it, COMMANDS))
        },
        also: lines_written,
        ..WEB
    },
    Shape {
        name: "secrets",
        prepare: |bed| {
            if !bed.engine.data().join("secrets/index.json").exists() {
                vault::set(&bed.engine, "sweep/token", SECRET);
            }
        },
        arguments: |bed| {
            let steps = SECRETS.replace("HASH", &vault::sha256(SECRET));
            let use_it = "  secrets: [{ names: [sweep/token], actions: [use] }]\n";
            book(bed, "secrets.yaml", &books::granted(RUN_COMMANDS, use_it, &steps))
        },
        also: lines_written,
        ..WEB
    },
    Shape {
        name: "post",
        covers: &["http.request"],
        arguments: |bed| book(bed, "post.yaml", &POST.replace("URL", &bed.post.url())),
        also: |bed, effects| effects.add("post", bed.post.take()),
        once: true,
        ..WEB
    },
    Shape { name: "undo", arguments: |bed| book(bed, "undo.yaml", UNDO), ends: "rolled-back", ..WEB },
    Shape {
        name: "items",
        replicas: 2,
        arguments: |bed| {
            let mut all = book(bed, "items.yaml", &books::steps("read, restart, exec", ITEMS));
            let names = format!("names=[\"{}\",\"{}\"]", bed.service.replica(1), bed.service.replica(2));
            all.extend(["-p".to_owned(), names]);
            all
        },
        ..WEB
    },
];

/// What commands in containers and in clones of them need.
const RUN_COMMANDS: &str = "read, exec, create, start, remove";

/// Runs a command in a container, one in a one-shot clone, and keeps and forgets a value.
const COMMANDS: &str = r#"  - id: exec
    uses: container.exec
    with: { service: "${{ parameters.service }}", command: [sh, -c, "echo ran >>/tmp/ran"] }
  - { id: set, uses: state.set, with: { bucket: sweep, key: k, value: 1 } }
  - id: run
    uses: container.run
    with: { service: "${{ parameters.service }}", command: ["true"] }
  - { id: forget, uses: state.delete, with: { bucket: sweep, key: k } }
"#;

const SECRET: &str = "kept in the sweep's store";

/// Gives a secret to a command and, as a file, to a one-shot clone; both fail if they have not got it.
const SECRETS: &str = r#"  - id: exec
    uses: container.exec
    with:
      service: "${{ parameters.service }}"
      command: [sh, -c, '[ "$(printf %s "$TOKEN" | sha256sum)" = "HASH  -" ] && echo ran >>/tmp/ran']
      secret_env: { TOKEN: sweep/token }
  - id: run
    uses: container.run
    with:
      service: "${{ parameters.service }}"
      command: [sh, -c, '[ "$(sha256sum </run/secrets/token)" = "HASH  -" ]']
      secret_files: { /run/secrets/token: sweep/token }
"#;

/// Asks a server to do something that cannot be looked for afterwards.
const POST: &str = r#"format: 1
runbook: post
summary: Ask a server to do something.
risk: low
parameters: { service: { type: string } }
grants:
  http: ["URL"]
steps:
  - id: post
    uses: http.request
    with: { url: "URL", method: POST, body: now }
"#;

/// Changes something, fails, and takes it back.
const UNDO: &str = r#"format: 1
runbook: undo
summary: Change, fail, take back.
risk: low
parameters: { service: { type: string } }
grants:
  containers:
    select: { service: "${{ parameters.service }}" }
    actions: [read, restart]
    max_unavailable: 1
steps:
  - id: stop
    uses: service.stop
    with: { service: "${{ parameters.service }}", grace: 20s }
    undo:
      uses: service.start
      with: { service: "${{ parameters.service }}" }
  - { id: fail, uses: core.fail, with: { message: on purpose } }
finally:
  - { id: after, uses: core.log, with: { message: "${{ run.status }}" } }
"#;

/// A step for each of several, two at a time; then a restart.
const ITEMS: &str = r#"  - id: each
    uses: container.exec
    for_each: parameters.names
    max_parallel: 2
    with: { container: "${{ item }}", command: ["true"] }
  - id: restart
    uses: service.restart
    with: { service: "${{ parameters.service }}", grace: 20s }
    if: steps.each.status == "succeeded"
"#;

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|&word| word.to_owned()).collect()
}

fn library(bed: &Bed, name: &str, parameters: &[&str]) -> Vec<String> {
    let mut all = words(&[name, "--yes", "-p", &bed.service.parameter()]);
    for parameter in parameters {
        all.extend(words(&["-p", parameter]));
    }
    all
}

fn book(bed: &Bed, file: &str, text: &str) -> Vec<String> {
    let file = bed.engine.write(file, text);
    words(&[&file, "--yes", "-p", &bed.service.parameter()])
}

/// What a command in the container left there, and takes it away.
fn lines_written(bed: &Bed, effects: &mut Effects) {
    let lines = bed.shell(1, "cat /tmp/ran 2>/dev/null | wc -l; rm -f /tmp/ran");
    effects.add("line written", lines.trim().parse().unwrap_or(0));
}
