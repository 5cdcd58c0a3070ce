//! `run --emergency`: acting when the data directory is full, damaged, or its engine hangs.

use serde_json::json;

use super::Ended;
use super::context::Context;
use super::halt;
use super::run::begin;
use super::session::Session;
use super::wish::Wish;
use crate::api::client::Client;
use crate::error::Error;
use executor::emergency::{self, Emergency};

/// Fences the engine of the data directory, then runs with a segment of the audit log of its own.
pub(super) fn carry_out(context: &Context, wish: &Wish, reason: &str) -> Ended {
    let settings = context.settings()?;
    settings.data.refuse_of_another()?;
    let main = settings.data.path.clone();
    let answers = context.wait(async { Ok(matches!(Client::new(&main).health().await, Ok(Some(_)))) })?;
    // Where it cannot be read, nobody knows.
    let halted = halt::read(context).ok().flatten();
    let begun = emergency::begin(&main, &settings.temporary(), answers)?;
    warn(context, &begun);
    if let Some(halt) = &halted {
        let reason = halt["reason"].as_str().unwrap_or_default();
        context.out.warning(&format!("everything is halted ({reason}): an emergency acts nevertheless"));
    }
    lend_plugins(&main, &begun);
    let there = context.at(begun.segment.clone());
    let fact = json!({
        "reason": reason, "data_dir": main, "fenced": begun.fenced, "killed": begun.killed, "engine_answered": answers,
        "announced": begun.announced, "halted": halted,
    });
    let ended = there.wait(async {
        let session = Session::open(&there).await?;
        let ended = async {
            session.fact("emergency.begun", fact, Vec::new()).await?;
            begin(&there, &session, wish, false).await.map(|begun| begun.exit_code)
        };
        let ended = ended.await;
        session.close().await;
        ended
    });
    let shown = begun.segment.display();
    context.out.hint(&format!("about this run, ask with --data-dir {shown}"));
    let trust = if begun.announced { String::new() } else { format!(" {shown} --trust") };
    context.out.hint(&format!(
        "when the data directory is well again: `runbook audit join{trust}` takes the entries over"
    ));
    ended
}

fn warn(context: &Context, begun: &Emergency) {
    let out = &context.out;
    if let Some(pid) = begun.killed {
        out.warning(&format!("the engine, process {pid}, did not answer and was killed"));
    }
    if !begun.fenced {
        out.warning("the data directory could not be fenced: see that no other engine acts there");
    }
    if !begun.announced {
        out.warning(
            "the key of the data directory cannot be read: nobody vouches for the entries of this run",
        );
    }
    out.warning(&format!("this run is written down in {}", begun.segment.display()));
}

/// Plugins that were added are read from where they are; without them the run says that there is none of that name.
fn lend_plugins(main: &std::path::Path, begun: &Emergency) {
    let added = main.join("plugins");
    if added.is_dir()
        && let Err(error) = std::os::unix::fs::symlink(&added, begun.segment.join("plugins"))
    {
        tracing::warn!(%error, "plugins that were added cannot be used in this emergency");
    }
}

/// The reason an emergency must have.
pub(super) fn reason(given: Option<&String>) -> Result<&str, Error> {
    given.map(String::as_str).filter(|reason| !reason.trim().is_empty()).ok_or_else(|| {
        Error::usage("an emergency needs a reason").hint("say why: --reason TEXT; it stands in the audit log")
    })
}
