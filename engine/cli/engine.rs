//! `runbook engine`, hidden: carries on unfinished runs in the background after the terminal that began them has gone.

use std::time::Duration;

use clap::Args;

use super::Ended;
use super::context::Context;
use super::session::Session;
use super::signals::Signals;
use crate::error::exit;

/// How long an idle engine stays, so that a script of many commands does not begin one for each.
const LINGER: Duration = Duration::from_secs(2);

/// Carry on unfinished runs until none needs an engine (begun by other commands)
#[derive(Debug, Args)]
pub(super) struct Engine {}

impl Engine {
    #[expect(clippy::unused_self, reason = "every command has the same shape")]
    pub(super) fn run(self, context: &Context) -> Ended {
        // In a session of its own, no terminal can end it; it may fail only where it leads a group already.
        let _ = rustix::process::setsid();
        context.wait_many(async {
            let mut signals = Signals::listen(true)?;
            let session = Session::open(context).await?;
            if session.is_here() {
                session.serve_until_idle(LINGER, &mut signals).await;
            }
            Ok(exit::SUCCEEDED)
        })
    }
}
