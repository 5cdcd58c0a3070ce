//! The daemon is away for a while, beginning with each of a run's requests in turn; then it is back. Judged in the world:
//! whatever the run says, nothing may be down that the daemon, back again, could start.

use std::time::{Duration, Instant};

use crate::support::absence::{AwayProxy, Manner};
use crate::support::docker::{docker, try_docker};
use crate::support::engine::Engine;
use crate::support::service::{Service, Wanted, next_number};

/// How long after its run the world may take to be as it was.
const RECOVERY: Duration = Duration::from_mins(1);

/// A kind of run.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) replicas: u32,
    /// Whether a new container never becomes healthy.
    sick: bool,
    pub(crate) arguments: fn(&Engine, &Service) -> Vec<String>,
    /// Replicas that run after a run that ended as it does undisturbed.
    pub(crate) after: u32,
    pub(crate) ends: &'static str,
}

/// One place of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) nth: usize,
    pub(crate) manner: Manner,
    pub(crate) lasts: Duration,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "request {}, {:?} for {} s", self.nth, self.manner, self.lasts.as_secs())
    }
}

pub(crate) const SHAPES: [Shape; 8] = [
    Shape {
        name: "restart",
        replicas: 2,
        sick: false,
        arguments: |_, service| library("service-restart", service, &[]),
        after: 2,
        ends: "succeeded",
    },
    Shape {
        name: "recreate",
        replicas: 1,
        sick: false,
        arguments: |_, service| library("service-recreate", service, &[&round()]),
        after: 1,
        ends: "succeeded",
    },
    Shape {
        name: "recreate-sick",
        replicas: 1,
        sick: true,
        arguments: |engine, service| book(engine, service, "sick", SICK),
        after: 1,
        ends: "failed",
    },
    Shape {
        name: "scale-out",
        replicas: 1,
        sick: false,
        arguments: |_, service| library("service-scale", service, &["replicas=2"]),
        after: 2,
        ends: "succeeded",
    },
    Shape {
        name: "scale-in",
        replicas: 2,
        sick: false,
        arguments: |_, service| library("service-scale", service, &["replicas=1"]),
        after: 1,
        ends: "succeeded",
    },
    Shape {
        name: "undo-stop",
        replicas: 2,
        sick: false,
        arguments: |engine, service| book(engine, service, "stop", UNDO_STOP),
        after: 2,
        ends: "rolled-back",
    },
    Shape {
        name: "undo-scale",
        replicas: 2,
        sick: false,
        arguments: |engine, service| book(engine, service, "scale", UNDO_SCALE),
        after: 2,
        ends: "rolled-back",
    },
    Shape {
        name: "undo-recreate",
        replicas: 1,
        sick: false,
        arguments: |engine, service| book(engine, service, "recreate", UNDO_RECREATE),
        after: 1,
        ends: "rolled-back",
    },
];

const SICK: &str = r#"
  - id: recreate
    uses: service.recreate
    with: { service: "${{ parameters.service }}", env: { ROUND: two }, grace: 2s, wait: 4s }
"#;

const UNDO_STOP: &str = r#"
  - id: stop
    uses: service.stop
    with: { service: "${{ parameters.service }}", grace: 2s }
    undo: { uses: service.start, with: { service: "${{ parameters.service }}" } }
  - { id: doom, uses: core.fail, with: { message: doomed } }
"#;

const UNDO_SCALE: &str = r#"
  - id: scale
    uses: service.scale
    with: { service: "${{ parameters.service }}", replicas: 1, grace: 2s }
    undo: { uses: service.scale, with: { service: "${{ parameters.service }}", replicas: 2, grace: 2s } }
  - { id: doom, uses: core.fail, with: { message: doomed } }
"#;

const UNDO_RECREATE: &str = r#"
  - id: recreate
    uses: service.recreate
    with: { service: "${{ parameters.service }}", env: { ROUND: two }, grace: 2s }
    undo:
      uses: service.recreate
      with: { service: "${{ parameters.service }}", remove_env: [ROUND], grace: 2s }
  - { id: doom, uses: core.fail, with: { message: doomed } }
"#;

/// What the books may do.
const GRANTS: &str = "  containers:
    select: { service: \"${{ parameters.service }}\" }
    actions: [read, create, stop, start, remove]
    max_unavailable: 2
";

fn round() -> String {
    format!("env={{\"ROUND\":\"{}\"}}", next_number())
}

fn library(name: &str, service: &Service, parameters: &[&str]) -> Vec<String> {
    let mut all = vec![name.to_owned(), "--yes".to_owned(), "-p".to_owned(), service.parameter()];
    for parameter in parameters.iter().chain(&["grace=2s"]) {
        all.extend(["-p".to_owned(), (*parameter).to_owned()]);
    }
    all
}

fn book(engine: &Engine, service: &Service, name: &str, steps: &str) -> Vec<String> {
    let head = "format: 1\nrunbook: away\nsummary: See what is left.\nrisk: medium\n";
    let text =
        format!("{head}parameters: {{ service: {{ type: string }} }}\ngrants:\n{GRANTS}steps:\n{steps}");
    let file = engine.write(&format!("{name}.yaml"), &text);
    vec![file, "--yes".to_owned(), "-p".to_owned(), service.parameter()]
}

/// The service as it is where a run of the shape begins.
pub(crate) fn wanted(shape: &Shape) -> Wanted {
    let wanted = Service::of(shape.replicas);
    if shape.sick { wanted.heals_by_mark() } else { wanted }
}

/// How many containers of the service run.
pub(crate) fn running(service: &Service) -> u32 {
    let project = format!("label=com.docker.compose.project={}", service.project());
    let ids = docker(&["ps", "--quiet", "--filter", &project]);
    u32::try_from(ids.lines().count()).unwrap_or(u32::MAX)
}

fn run(engine: &Engine, arguments: &[String]) -> crate::support::engine::Ended {
    let all: Vec<&str> = std::iter::once("run").chain(arguments.iter().map(String::as_str)).collect();
    engine.run(&all)
}

/// How many requests an undisturbed run of the shape makes.
pub(crate) fn measure(shape: &Shape) -> usize {
    let service = wanted(shape).up();
    let proxy = AwayProxy::new(0, Manner::Refuse, Duration::ZERO);
    let engine = Engine::new().env("DOCKER_HOST", proxy.address());
    let ended = run(&engine, &(shape.arguments)(&engine, &service));
    assert_eq!(engine.status(), shape.ends, "`{}` undisturbed: {}", shape.name, ended.said());
    assert_eq!(running(&service), shape.after, "`{}` undisturbed: {}", shape.name, ended.said());
    proxy.seen()
}

/// Plays one place; an error tells what is down, or that a daemon that came back within patience spoiled the run.
pub(crate) fn play(shape: &Shape, place: Place) -> Result<String, String> {
    let service = wanted(shape).up();
    let proxy = AwayProxy::new(place.nth, place.manner, place.lasts);
    let engine = Engine::new().env("DOCKER_HOST", proxy.address());
    let ended = run(&engine, &(shape.arguments)(&engine, &service));
    let status = engine.status();
    let wanted = if status == shape.ends { shape.after } else { shape.replicas };
    let began = Instant::now();
    while running(&service) < wanted {
        if began.elapsed() > RECOVERY {
            let project = format!("label=com.docker.compose.project={}", service.project());
            let all =
                try_docker(&["ps", "--all", "--filter", &project, "--format", "{{.Names}} {{.Status}}"]);
            let world = String::from_utf8_lossy(&all.stdout).into_owned();
            return Err(format!("`{}`, {place}: `{status}` with\n{world}\n{}", shape.name, ended.said()));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    // Empty: it was refused before it was accepted.
    if ["", shape.ends].contains(&status.as_str()) {
        Ok(status)
    } else {
        Err(format!("`{}`, {place}: `{status}`, though the daemon came back\n{}", shape.name, ended.said()))
    }
}
