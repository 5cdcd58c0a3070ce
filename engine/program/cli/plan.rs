//! `runbook plan`: what a run would do now. Plans in this process: it needs no engine and writes nothing.

use clap::Args;

use super::Ended;
use super::context::Context;
use super::guard;
use super::render;
use super::wish::{Given, Manner, Wish};
use crate::error::Error;
use crate::error::exit::{self, Cause};
use executor::request::Plan as Planned;
use run::event::EndStatus;
use words::effect::FailureKind;
use words::text::for_shell;

/// Show what a run would do now, and what that rests on; changes nothing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook plan service-restart -p service=shop/web
  runbook plan service-scale -p service=shop/web -p replicas=5 --output json
  runbook run service-scale -p service=shop/web -p replicas=5 --plan DIGEST     exactly this, or nothing")]
pub(super) struct Plan {
    /// A name of the library or of the folder `runbooks`, or a file
    #[arg(value_name = "NAME|FILE")]
    runbook: String,
    #[command(flatten)]
    given: Given,
}

impl Plan {
    pub(super) fn run(self, context: &Context) -> Ended {
        let wish = Wish::new(context, &self.runbook, &self.given, &Manner::default())?;
        guard::learn_whole(context);
        let reach = context.reach()?;
        let plan = context.wait_many(async { Ok(reach.plan(wish.request.clone()).await?) })?;
        let code = exit_code(&plan);
        if context.out.is_json() {
            context.out.json(&plan);
            return Ok(code);
        }
        context.out.raw(&render::plan::plan(&plan, context.out.paint, context.out.table_width()));
        if plan.is_whole() {
            let command = command(&self.runbook, &wish);
            context.out.hint(&format!("`{command} --plan {}` does exactly this, or nothing", plan.digest));
        }
        Ok::<u8, Error>(code)
    }
}

/// That of the run, if the plan knows that it would not go well.
fn exit_code(plan: &Planned) -> u8 {
    let cause = if plan.cause == Some(FailureKind::Denied) { Cause::Denied } else { Cause::Other };
    match plan.status {
        EndStatus::Succeeded | EndStatus::Skipped => exit::SUCCEEDED,
        status => exit::of_end(status, cause),
    }
}

/// The command that runs what was planned.
fn command(name: &str, wish: &Wish) -> String {
    let flags =
        wish.request.parameters.iter().map(|(name, value)| format!(" {}", render::value::flag(name, value)));
    format!("runbook run {}{}", for_shell(name), flags.collect::<String>())
}
