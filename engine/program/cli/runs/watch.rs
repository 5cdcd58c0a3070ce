//! `runbook runs watch`.

use clap::Args;

use super::super::Ended;
use super::super::context::Context;
use super::super::run::conclude;
use super::super::session::Session;
use super::super::signals::Signals;
use super::super::watching::{Display, Watching};
use super::{find, reader};

/// Follow a run until it is over; ends with its exit code
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs watch last
  runbook runs watch 0mabc --output json       one JSON document per line, then the run

Ctrl-C stops watching, not the run.")]
pub(in crate::cli) struct Watch {
    /// Its id, the beginning of it, or `last`
    #[arg(default_value = "last")]
    run: String,
}

impl Watch {
    pub(super) fn run(self, context: &Context) -> Ended {
        let run = find(&reader(context)?, &self.run)?;
        let display = if context.out.is_json() { Display::Documents } else { Display::of(context) };
        let follower = context.wait(async {
            let session = Session::onlooker(context)?;
            let watching = Watching::new(context, &session, run.clone(), display)?.looking_on();
            let follower = watching.until_rest(&run, &mut Signals::listen()?).await;
            session.close().await;
            follower
        })?;
        if display != Display::Documents {
            conclude(context, &follower);
        }
        Ok(follower.exit_code())
    }
}
