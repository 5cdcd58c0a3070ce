//! `runbook service`: the common things done to a service, as runs of the standard library. Only the list asks the
//! container daemon itself.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Ended;
use super::context::Context;
use super::output::table::{Cell, Table};
use super::render::value;
use super::run::{carry_out, conclude};
use super::session::Session;
use super::watching::{Display, Watching};
use super::wish::{Given, Manner, Wish};
use crate::containers::Daemon;
use crate::containers::types::Container;
use crate::error::{Error, exit};

/// List services, and restart, scale or change them: shorthands for runs of the library
#[derive(Debug, Subcommand)]
pub(super) enum Service {
    List(List),
    Status(Status),
    Restart(Restart),
    Recreate(Recreate),
    Scale(Scale),
    Resize(Resize),
    Start(Start),
    Stop(Stop),
    Pause(Pause),
    Unpause(Unpause),
    Signal(Signal),
    Logs(Logs),
}

/// List the services of the container daemon
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service list
  runbook service list --target prod-1 --output json")]
pub(super) struct List {}

/// Show how a service is doing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service status shop/web

The same as: runbook run service-status -p service=shop/web")]
pub(super) struct Status {
    #[command(flatten)]
    whom: Whom,
}

/// Restart a service, a batch of replicas at a time
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service restart shop/web --reason 'hangs since noon'
  runbook service restart shop/web --batch 2 --grace 30s
  runbook service restart shop/web --force              kill, then a clean start; evidence is kept first

The same as: runbook run service-restart -p service=shop/web (with --force: service-force-restart)")]
pub(super) struct Restart {
    #[command(flatten)]
    whom: Whom,
    /// So many replicas at once
    #[arg(long, value_name = "NUMBER")]
    batch: Option<u32>,
    /// Time to stop by itself, for example 30s; without it each container's own stop timeout
    #[arg(long, value_name = "TIME", conflicts_with = "force")]
    grace: Option<String>,
    /// Kill, then start clean
    #[arg(long)]
    force: bool,
}

/// Make the containers of a service anew, to pick up another image, environment or labels
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service recreate shop/web --image web:42
  runbook service recreate shop/web --env LOG_LEVEL=debug --env OLD --label tier=front

The same as: runbook run service-recreate -p service=shop/web -p image=web:42")]
pub(super) struct Recreate {
    #[command(flatten)]
    whom: Whom,
    /// Another image
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// `NAME=VALUE` sets, `NAME` removes; may be given many times
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// `NAME=VALUE` sets, `NAME` removes; may be given many times
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
}

/// Have more or fewer replicas
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service scale shop/web 5

The same as: runbook run service-scale -p service=shop/web -p replicas=5")]
pub(super) struct Scale {
    #[command(flatten)]
    whom: Whom,
    /// So many in all
    replicas: u32,
}

/// Give the replicas more or less processor or memory, without a restart
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service resize shop/web --memory 512MiB
  runbook service resize shop/web --cpu 1.5

The same as: runbook run service-resize -p service=shop/web -p memory=512MiB")]
#[command(group(clap::ArgGroup::new("limit").required(true).multiple(true).args(["cpu", "memory"])))]
pub(super) struct Resize {
    #[command(flatten)]
    whom: Whom,
    /// Cores, for example 1.5
    #[arg(long, value_name = "CORES")]
    cpu: Option<String>,
    /// For example 512MiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
}

/// Start what is stopped, let go on what is paused
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service start shop/web

The same as: runbook run service-start -p service=shop/web")]
pub(super) struct Start {
    #[command(flatten)]
    whom: Whom,
}

/// Stop every replica
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service stop shop/web --grace 30s

The same as: runbook run service-stop -p service=shop/web")]
pub(super) struct Stop {
    #[command(flatten)]
    whom: Whom,
    /// Time to stop by itself, for example 30s; without it each container's own stop timeout
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
}

/// Freeze the processes of a service
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service pause shop/web
  runbook service pause shop-web-2                      one container

The same as: runbook run service-pause -p service=shop/web")]
pub(super) struct Pause {
    #[command(flatten)]
    whom: Whom,
}

/// Let the paused processes of a service go on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service unpause shop/web

The same as: runbook run service-unpause -p service=shop/web")]
pub(super) struct Unpause {
    #[command(flatten)]
    whom: Whom,
}

/// Send a signal to the processes of a service
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service signal shop/web HUP --reason 'new certificate'
  runbook service signal shop-web-2 USR1                one container

The same as: runbook run service-signal -p service=shop/web -p signal=HUP")]
pub(super) struct Signal {
    #[command(flatten)]
    whom: Whom,
    /// The signal's name, with or without SIG
    signal: String,
}

/// Show the last lines of every replica
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook service logs shop/web --lines 50

The same as: runbook run service-logs -p service=shop/web")]
pub(super) struct Logs {
    #[command(flatten)]
    whom: Whom,
    /// So many of each
    #[arg(long, value_name = "NUMBER")]
    lines: Option<u32>,
    /// Of the life before the last start
    #[arg(long)]
    previous: bool,
}

/// Which service, and how.
#[derive(Debug, Args)]
struct Whom {
    /// `project/service`, or the service alone where it is unique
    service: String,
    #[command(flatten)]
    manner: Manner,
}

impl Service {
    pub(super) fn run(self, context: &Context) -> Ended {
        match self {
            Self::List(_) => list(context),
            Self::Status(status) => look(context, ("service-status", replicas), &status.whom, Vec::new()),
            Self::Restart(restart) => restart.run(context),
            Self::Recreate(recreate) => recreate.run(context),
            Self::Scale(scale) => shorthand(
                context,
                "service-scale",
                &scale.whom,
                vec![("replicas", scale.replicas.to_string())],
            ),
            Self::Resize(resize) => {
                let mut pairs = Vec::new();
                pairs.extend(resize.cpu.map(|cpu| ("cpus", cpu)));
                pairs.extend(resize.memory.map(|memory| ("memory", memory)));
                shorthand(context, "service-resize", &resize.whom, pairs)
            }
            Self::Start(start) => shorthand(context, "service-start", &start.whom, Vec::new()),
            Self::Stop(stop) => {
                let pairs = stop.grace.map(|grace| ("grace", grace));
                shorthand(context, "service-stop", &stop.whom, pairs.into_iter().collect())
            }
            Self::Pause(pause) => shorthand(context, "service-pause", &pause.whom, Vec::new()),
            Self::Unpause(unpause) => shorthand(context, "service-unpause", &unpause.whom, Vec::new()),
            Self::Signal(Signal { whom, signal }) => {
                let name = signal.to_ascii_uppercase();
                let name = name.strip_prefix("SIG").unwrap_or(&name).to_owned();
                shorthand(context, "service-signal", &whom, vec![("signal", name)])
            }
            Self::Logs(logs) => {
                let mut pairs = Vec::new();
                pairs.extend(logs.lines.map(|lines| ("lines", lines.to_string())));
                pairs.extend(logs.previous.then(|| ("previous", "true".to_owned())));
                look(context, ("service-logs", lines), &logs.whom, pairs)
            }
        }
    }
}

impl Restart {
    fn run(self, context: &Context) -> Ended {
        let name = if self.force { "service-force-restart" } else { "service-restart" };
        let mut pairs = Vec::new();
        pairs.extend(self.batch.map(|batch| ("batch", batch.to_string())));
        pairs.extend(self.grace.map(|grace| ("grace", grace)));
        shorthand(context, name, &self.whom, pairs)
    }
}

impl Recreate {
    fn run(self, context: &Context) -> Ended {
        let mut pairs = Vec::new();
        pairs.extend(self.image.map(|image| ("image", image)));
        for (set, remove, texts) in [("env", "remove_env", self.env), ("labels", "remove_labels", self.label)]
        {
            let (values, names) = split(texts);
            pairs.extend((!values.is_empty()).then(|| (set, Value::Object(values).to_string())));
            pairs.extend((!names.is_empty()).then(|| (remove, json!(names).to_string())));
        }
        shorthand(context, "service-recreate", &self.whom, pairs)
    }
}

/// `NAME=VALUE` sets, `NAME` removes.
fn split(texts: Vec<String>) -> (Map<String, Value>, Vec<String>) {
    let mut values = Map::new();
    let mut names = Vec::new();
    for text in texts {
        match text.split_once('=') {
            Some((name, value)) => drop(values.insert(name.to_owned(), Value::from(value))),
            None => names.push(text),
        }
    }
    (values, names)
}

fn shorthand(context: &Context, runbook: &str, whom: &Whom, mut pairs: Vec<(&str, String)>) -> Ended {
    pairs.push(("service", whom.service.clone()));
    let wish = Wish::new(context, runbook, &Given::of(pairs), &whom.manner)?;
    carry_out(context, &wish, &whom.manner)
}

/// A run that only looks: not its story is shown but what it found.
fn look(
    context: &Context,
    (runbook, show): (&str, fn(&Context, &Value)),
    whom: &Whom,
    mut pairs: Vec<(&str, String)>,
) -> Ended {
    pairs.push(("service", whom.service.clone()));
    let wish = Wish::new(context, runbook, &Given::of(pairs), &whom.manner)?;
    context.wait_many(async {
        let session = Session::open(context).await?;
        let ended = async {
            let run = session.submit(&wish.request).await?;
            let follower =
                Watching::new(context, &session, run.clone(), Display::Nothing)?.until_rest(&run).await?;
            let outputs = follower.view().outputs.unwrap_or_default();
            if context.out.is_json() || follower.exit_code() != exit::SUCCEEDED {
                conclude(context, &follower);
            } else {
                show(context, &outputs);
            }
            Ok(follower.exit_code())
        };
        let ended = ended.await;
        session.close().await;
        ended
    })
}

/// What `service-status` found.
fn replicas(context: &Context, outputs: &Value) {
    let mut table = Table::new(&["CONTAINER", "STATE", "HEALTH", "RESTARTS", "IMAGE"]);
    for one in outputs["containers"].as_array().into_iter().flatten() {
        let text = |key: &str| value::short(&one[key]);
        table.row(vec![
            text("name").into(),
            Cell::status(text("state")),
            Cell::status(text("health")),
            text("restart_count").into(),
            text("image").into(),
        ]);
    }
    context.out.raw(&table.render(context.out.paint, context.out.table_width()));
    let number = |key: &str| value::short(&outputs[key]);
    context.out.line(format!(
        "{} replicas, {} running, {} healthy",
        number("replicas"),
        number("running"),
        number("healthy")
    ));
}

/// What `service-logs` found.
fn lines(context: &Context, outputs: &Value) {
    for one in outputs["containers"].as_array().into_iter().flatten() {
        context.out.talk(context.out.talk_paint.dim(&format!("==== {}", value::short(&one["name"]))));
        for line in one["logs"].as_str().unwrap_or_default().lines() {
            context.out.line(crate::error::printable(line));
        }
    }
}

fn list(context: &Context) -> Ended {
    let connection = context.settings()?.target()?.connection()?;
    let services = context.wait(async {
        let daemon = Daemon::connect(&connection)?;
        let mut services = Vec::new();
        for name in daemon.services().await? {
            match daemon.service(&name).await {
                Ok(containers) => services.push((name, containers)),
                // Gone between the list and this question.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(Error::from(error)),
            }
        }
        Ok(services)
    })?;
    if context.out.is_json() {
        let documents: Vec<Value> =
            services.iter().map(|(name, containers)| document(name, containers)).collect();
        context.out.json(&documents);
        return Ok(exit::SUCCEEDED);
    }
    let mut table = Table::new(&["SERVICE", "AVAILABLE", "STATUS", "IMAGE"]);
    for (name, containers) in &services {
        let available = available(containers);
        let images: std::collections::BTreeSet<&str> =
            containers.iter().map(|one| one.image.as_str()).collect();
        table.row(vec![
            name.as_str().into(),
            format!("{available}/{}", containers.len()).into(),
            Cell::status(status(available, containers.len())),
            images.into_iter().collect::<Vec<_>>().join(", ").into(),
        ]);
    }
    context.out.raw(&table.render(context.out.paint, context.out.table_width()));
    Ok(exit::SUCCEEDED)
}

fn available(containers: &[Container]) -> usize {
    containers.iter().filter(|container| container.available()).count()
}

fn status(available: usize, all: usize) -> &'static str {
    match available {
        0 => "fail",
        some if some < all => "warn",
        _ => "ok",
    }
}

fn document(name: &str, containers: &[Container]) -> Value {
    let replicas: Vec<Value> = containers
        .iter()
        .map(|one| json!({ "name": one.name, "id": one.id, "state": one.state, "health": one.health, "image": one.image }))
        .collect();
    json!({
        "service": name, "replicas": containers.len(), "available": available(containers), "containers": replicas,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_removes() {
        let (values, names) = split(vec!["A=b=c".to_owned(), "OLD".to_owned()]);
        assert_eq!(Value::Object(values), json!({"A": "b=c"}));
        assert_eq!(names, ["OLD"]);
    }

    #[test]
    fn a_service_is_as_well_as_its_replicas() {
        assert_eq!([status(0, 3), status(2, 3), status(3, 3)], ["fail", "warn", "ok"]);
    }
}
