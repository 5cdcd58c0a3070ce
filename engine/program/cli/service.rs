//! `runbook service`: the common things done to a service, as runs of the standard library. What only looks asks the
//! container daemon itself.

mod look;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Ended;
use super::context::Context;
use super::launch;
use super::run::carry_out;
use super::wish::{Given, Manner, Wish};

/// The lines of each replica that `logs` shows if it is not told how many, and the most.
const DEFAULT_LINES: u32 = 100;
const MAX_LINES: i64 = 10_000;

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
  runbook service status shop/web --output json

Asks the container daemon itself: needs no engine and no data directory, and leaves no entry in the audit log.
As a run, with entries: runbook run service-status -p service=shop/web")]
pub(super) struct Status {
    /// `project/service`, or the service alone where it is unique
    service: String,
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

Asks the container daemon itself: needs no engine and no data directory, and leaves no entry in the audit log.
As a run, with entries: runbook run service-logs -p service=shop/web")]
pub(super) struct Logs {
    /// `project/service`, or the service alone where it is unique
    service: String,
    /// Number of lines of each replica
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_LINES, value_parser = clap::value_parser!(u32).range(1..=MAX_LINES))]
    lines: u32,
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
            Self::List(list) => list.run(context),
            Self::Status(status) => status.run(context),
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
            Self::Logs(logs) => logs.run(context),
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
    if !whom.manner.emergency {
        launch::early(context);
    }
    let wish = Wish::new(context, runbook, &Given::of(pairs), &whom.manner)?;
    carry_out(context, &wish, &whom.manner)
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
}
