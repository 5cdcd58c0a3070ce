//! Writes into the audit log what is about to happen, through the engine of the data directory.

use serde_json::Value;

use crate::cli::context::Context;
use crate::cli::session::Session;
use crate::error::Error;
use secrets::{Change, Fact};

/// Durable when it returns.
pub(super) fn facts(context: &Context, facts: &[Fact]) -> Result<(), Error> {
    let all: Vec<(&str, Value)> = facts.iter().map(|fact| (fact.kind, fact.data.clone())).collect();
    entries(context, all)
}

/// One entry of its own.
pub(super) fn entry(context: &Context, kind: &str, data: Value) -> Result<(), Error> {
    entries(context, vec![(kind, data)])
}

fn entries(context: &Context, all: Vec<(&str, Value)>) -> Result<(), Error> {
    context.wait(async {
        let session = Session::open(context).await?;
        let mut written = Ok(());
        for (kind, data) in all {
            written = session.fact(kind, data, Vec::new()).await;
            if written.is_err() {
                break;
            }
        }
        session.close().await;
        written
    })
}

/// First the entries, then the change; a change whose entries cannot be written never was.
pub(super) fn commit(context: &Context, change: Change) -> Result<(), Error> {
    facts(context, change.facts())?;
    Ok(change.commit()?)
}
