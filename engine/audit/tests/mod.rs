//! The log as its callers see it, on real files.

mod appending;
mod archiving;
mod conditions;
mod crashing;
mod exporting;
mod opening;
mod reading;
mod starting;
mod tampering;

use std::path::Path;

use serde_json::{Value, json};

use words::ids::{RunId, RunbookName, TargetName};
use words::trigger::TriggerKind;

use super::{Audit, Draft, Options, RunRow};

pub(super) fn open(dir: &Path) -> Audit {
    let scrub = |text: String| text.replace("hunter2", "[secret]");
    Audit::open(dir, &Options { scrub: Some(scrub), ..Options::default() }).unwrap()
}

pub(super) fn run(n: u32) -> RunId {
    RunId::from_parts(1_700_000_000_000 + u64::from(n), n)
}

pub(super) fn fact(data: Value) -> Draft {
    Draft::fact("ann", "test.fact", data)
}

pub(super) fn of_run(run: &RunId, kind: &str) -> Draft {
    Draft { run: Some(run.clone()), ..Draft::fact("ann", kind, json!({"some": "data"})) }
}

pub(super) fn row(run: &RunId, status: &str) -> RunRow {
    RunRow {
        run: run.clone(),
        runbook: RunbookName::new("service-restart").unwrap(),
        status: status.to_owned(),
        actor: "ann".to_owned(),
        trigger: TriggerKind::Manual,
        target: TargetName::new("local").unwrap(),
        started_ms: 5,
        finished_ms: (status == "succeeded").then_some(9),
        parent: None,
        reason: Some("because".to_owned()),
        subject: "shop/web".to_owned(),
        message: String::new(),
    }
}
