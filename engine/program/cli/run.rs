//! `runbook run`: does what a runbook says, now, and shows it.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::Ended;
use super::context::Context;
use super::render::{self, value};
use super::session::Session;
use super::signals::Signals;
use super::watching::{Display, Watching};
use super::wish::{Given, Manner, Wish};
use super::{emergency, launch};
use crate::error::{Error, Kind, exit};
use executor::request::Plan;
use host::STALE;
use model::grant::Grants;
use model::runbook::Risk;
use words::clock;
use words::ids::RunId;

/// Do what a runbook says
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook run service-restart -p service=shop/web --reason 'hangs since noon'
  runbook run ./my.yaml --params night.yaml --yes
  runbook run service-restart -p service=shop/web --plan DIGEST      what `runbook plan` showed, or nothing
  runbook run service-restart -p service=shop/web --detach           `runbook runs watch last` attaches
  runbook run service-restart -p service=shop/web --emergency --reason 'disk full'

On a terminal a run that writes shows its plan and asks; elsewhere it goes ahead, unless its risk is high: then it
needs --yes. The run does exactly what you confirmed; if something changed while you read the plan, you are shown what,
and asked again. Ctrl-C stops it at the next safe point and asks what is to become of it. TERM, HUP, Ctrl-Z and a closed
terminal end or stop this command, not the run: told to end, it waits 8 s, says where the run goes on, and exits with 143.")]
pub(super) struct Run {
    /// A name of the library or of the folder `runbooks`, or a file
    #[arg(value_name = "NAME|FILE")]
    runbook: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    manner: Manner,
}

impl Run {
    pub(super) fn run(self, context: &Context) -> Ended {
        if !self.manner.emergency {
            launch::early(context);
        }
        let wish = Wish::new(context, &self.runbook, &self.given, &self.manner)?;
        carry_out(context, &wish, &self.manner)
    }
}

/// Asks if it must, submits, follows, and ends with the run's own exit code.
pub(super) fn carry_out(context: &Context, wish: &Wish, manner: &Manner) -> Ended {
    if manner.emergency {
        return emergency::carry_out(context, wish, emergency::reason(manner.reason.as_ref())?);
    }
    let asks = must_ask(context, wish, manner)?;
    context.wait(async {
        let session = Session::open(context).await?;
        let ended = on(context, &session, wish, (asks, manner.detach)).await;
        session.close().await;
        ended
    })
}

async fn on(context: &Context, session: &Session<'_>, wish: &Wish, (asks, detach): (bool, bool)) -> Ended {
    if !asks {
        return begin(context, session, wish, detach).await.map(|begun| begun.exit_code);
    }
    let mut plan = session.plan(&wish.request).await?;
    let mut left = "nothing was done";
    loop {
        confirmed(context, wish, &plan, left).await?;
        match turn(context, session, wish, (&plan, detach)).await? {
            Turn::Over(exit_code) => return Ok(exit_code),
            Turn::Moved { now, begun } => {
                tell_changes(context, &now.changes_since(&plan));
                if begun {
                    left = "nothing more was done";
                }
                plan = *now;
            }
        }
    }
}

/// What came of a yes.
enum Turn {
    /// The run is over, rests, or goes on in the background.
    Over(u8),
    /// The world is not as the person saw it: the plan of now. `begun`: whether a run has begun and stopped there.
    Moved { now: Box<Plan>, begun: bool },
}

/// A command that is told to end while it asks for a run waits so long for the answer.
const LAST_WORD: Duration = Duration::from_secs(5);

/// How often a request is sent again because containers crash and start in between by themselves.
const MAX_TRIES: u32 = 5;

/// Carries out what a person said yes to, unless the world has moved.
async fn turn(
    context: &Context,
    session: &Session<'_>,
    wish: &Wish,
    (plan, detach): (&Plan, bool),
) -> Result<Turn, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let now = session.plan(&wish.request).await?;
        if !now.changes_since(plan).is_empty() {
            return Ok(Turn::Moved { now: Box::new(now), begun: false });
        }
        let begun = match begin(context, session, &held(wish, &now), detach).await {
            Err(error) if error.kind == Kind::Conflict && tries < MAX_TRIES => {
                // The engine looked once more: who is right is told by the plan of now.
                let later = session.plan(&wish.request).await?;
                if later.digest == now.digest {
                    return Err(error);
                }
                continue;
            }
            begun => begun?,
        };
        // A second request with the same key would be the same run.
        if !begun.moved || wish.request.dedupe.is_some() {
            return Ok(Turn::Over(begun.exit_code));
        }
        let now = session.plan(&wish.request).await?;
        return Ok(Turn::Moved { now: Box::new(now), begun: true });
    }
}

/// What a person said yes to is what is done: the run is held to the plan they were shown. A plan that could not know
/// everything cannot be held to, so that only what it saw must still be so.
fn held(wish: &Wish, plan: &Plan) -> Wish {
    let mut wish = wish.clone();
    if holds(plan) {
        wish.request.plan = Some(plan.digest.clone());
    }
    wish
}

fn tell_changes(context: &Context, changes: &[String]) {
    let out = &context.out;
    out.talk(format!("\n{}", out.talk_paint.yellow("this has changed since you were shown the plan:")));
    for change in changes {
        out.talk(format!("  {}", crate::error::printable(change)));
    }
    out.talk("");
}

/// A run that was accepted.
pub(super) struct Begun {
    pub(super) exit_code: u8,
    /// It stopped because something was not as planned.
    moved: bool,
}

pub(super) async fn begin(
    context: &Context,
    session: &Session<'_>,
    wish: &Wish,
    detach: bool,
) -> Result<Begun, Error> {
    let mut signals = Signals::listen()?;
    let run = accepted(session, wish, &mut signals).await?;
    if detach {
        if context.out.is_json() {
            context
                .out
                .json(&json!({ "run": run, "runbook": wish.runbook.name, "status": "queued", "steps": [] }));
        } else {
            context.out.line(run.as_str());
            context.out.hint(&format!("`runbook runs watch {run}` follows it"));
        }
        return Ok(Begun { exit_code: exit::SUCCEEDED, moved: false });
    }
    let watching = Watching::new(context, session, run.clone(), Display::of(context))?;
    let follower = watching.until_rest(&run, &mut signals).await?;
    conclude(context, &follower);
    let view = follower.view();
    let failures = view.steps.iter().filter_map(|step| step.failure.as_ref());
    let moved = view.status == "failed" && failures.into_iter().any(|failure| failure.code == STALE);
    Ok(Begun { exit_code: follower.exit_code(), moved })
}

/// Asks for the run. Whoever interrupts this command meanwhile is not left to wonder whether it was accepted.
async fn accepted(session: &Session<'_>, wish: &Wish, signals: &mut Signals) -> Result<RunId, Error> {
    let asked = session.submit(&wish.request);
    tokio::pin!(asked);
    tokio::select! {
        run = &mut asked => run,
        told = signals.next() => {
            session.hurry();
            let answer = tokio::select! {
                answer = clock::within(LAST_WORD, &mut asked) => answer.ok(),
                _ = signals.next() => None,
            };
            let kind = told.kind();
            Err(match answer {
                Some(Ok(run)) => {
                    Error::new(kind, format!("run `{run}` was accepted and goes on without this command"))
                        .hint(format!("`runbook runs watch {run}` follows it, `runbook runs cancel {run}` ends it"))
                }
                Some(Err(error)) => error,
                None => Error::new(kind, "the engine has not said whether it accepts the run")
                    .hint("`runbook runs list` shows it if it does"),
            })
        }
    }
}

/// Whether nothing in the plan rests on what cannot be known before.
fn holds(plan: &Plan) -> bool {
    plan.unknown.is_empty() && plan.writes.iter().all(|write| write.certain)
}

/// What came of a run that is over or rests.
pub(super) fn conclude(context: &Context, follower: &super::follow::Follower) {
    let view = follower.view();
    let told = follower.told(&view);
    if context.out.is_json() {
        context.out.json(&told.document());
        return;
    }
    context.out.raw(&told.end(context.out.paint));
    if !matches!(view.status.as_str(), "succeeded" | "skipped") {
        context.out.talk_raw(&told.help(context.out.talk_paint));
    }
}

/// Whether a person is to be asked first; without one, high risk is refused unless `--yes` says it.
fn must_ask(context: &Context, wish: &Wish, manner: &Manner) -> Result<bool, Error> {
    let risk = wish.runbook.risk;
    if manner.yes || !(writes(&wish.runbook.grants) || wish.runbook.grants.reveals()) {
        return Ok(false);
    }
    let asked = context.out.can_ask() && !context.out.is_json() && !manner.detach;
    match (risk, asked) {
        (Risk::High, false) => {
            Err(Error::usage(format!("the risk of `{}` is high, and nobody can be asked", wish.runbook.name))
                .hint("look at `runbook plan`, then give --yes"))
        }
        (Risk::High, true) => Ok(true),
        (Risk::Low | Risk::Medium, asked) => Ok(asked && wish.request.plan.is_none()),
    }
}

fn writes(grants: &Grants) -> bool {
    use model::grant::StateAction;
    grants.containers.iter().flat_map(|grant| &grant.actions).any(|action| action.writes())
        || grants.state.iter().flat_map(|grant| &grant.actions).any(|action| *action == StateAction::Write)
        || !grants.http.is_empty()
}

/// Shows the plan and asks; whoever interrupts or ends this command meanwhile says no.
async fn confirmed(context: &Context, wish: &Wish, plan: &Plan, left: &str) -> Result<(), Error> {
    let out = &context.out;
    out.talk_raw(&render::plan::plan(plan, out.talk_paint, out.table_width()));
    let environment =
        context.settings().ok().and_then(|settings| settings.target().ok()?.environment.clone());
    if let Some(environment) = environment {
        out.talk(format!("\n{} {environment}", out.talk_paint.yellow("environment:")));
    }
    let (out, high) = (out.again(), wish.runbook.risk == Risk::High);
    let name = wish.parameters.get("service").map_or_else(|| wish.runbook.name.to_string(), value::short);
    let asked = tokio::task::spawn_blocking(move || {
        if !high {
            return out.confirm("\ngo ahead?");
        }
        out.ask(&format!("\nthe risk is high: type `{name}` to go ahead:"))
            .is_some_and(|answer| answer == name)
    });
    let mut signals = Signals::listen()?;
    let kind = tokio::select! {
        yes = asked => if yes.unwrap_or(false) { return Ok(()) } else { Kind::Interrupted },
        told = signals.next() => told.kind(),
    };
    Err(Error::new(kind, left))
}
