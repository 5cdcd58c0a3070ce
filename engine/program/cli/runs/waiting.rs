//! What an unfinished run waits for, and what to type: for those who look at many runs at once.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::super::follow::Follower;
use super::aside;
use audit::RunRow;
use executor::Aside;
use model::step_type::Catalogue;
use run::state::RunStatus;
use words::ids::RunId;

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum What {
    /// A person's answer.
    Answer,
    /// A person's decision about a call in doubt.
    Decision,
    /// A person who carries it on or ends it.
    Resume,
    /// The end of the halt, and a person who carries it on.
    HaltOff,
    /// A person who ends it, since it cannot be read.
    Cancel,
    /// A lock that another run holds, or its turn.
    Lock,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Waiting {
    /// What for.
    pub(in crate::cli) what: What,
    /// The commands that let it go on or end it.
    pub(in crate::cli) commands: Vec<String>,
}

impl Waiting {
    /// Whether only a person carries it on.
    pub(in crate::cli) fn for_person(&self) -> bool {
        self.what != What::Lock
    }
}

/// What each of these runs waits for, if it waits.
pub(in crate::cli) fn all(
    data_dir: &Path,
    catalogue: &Catalogue,
    rows: &[RunRow],
    aside: &BTreeMap<RunId, Aside>,
) -> BTreeMap<RunId, Waiting> {
    let unfinished = rows.iter().filter(|row| row.finished_ms.is_none());
    let found = unfinished.filter_map(|row| {
        let waiting = match aside.get(&row.run) {
            Some(_) => Waiting { what: What::Cancel, commands: vec![aside::way_out(&row.run)] },
            None => of(data_dir, catalogue, row)?,
        };
        Some((row.run.clone(), waiting))
    });
    found.collect()
}

fn of(data_dir: &Path, catalogue: &Catalogue, row: &RunRow) -> Option<Waiting> {
    let is = |status: RunStatus| row.status == status.word();
    if is(RunStatus::Queued) {
        return Some(Waiting { what: What::Lock, commands: vec![format!("runbook runs watch {}", row.run)] });
    }
    let what = if is(RunStatus::InDoubt) {
        What::Decision
    } else if is(RunStatus::Left) {
        if row.message.starts_with(super::super::follow::HALTED) { What::HaltOff } else { What::Resume }
    } else if is(RunStatus::Waiting) {
        What::Answer
    } else {
        return None;
    };
    let mut follower = Follower::new(data_dir, row.run.clone()).ok()?;
    follower.read(catalogue).ok()?;
    let view = follower.view();
    // One that sleeps goes on by itself.
    if what == What::Answer && view.steps.iter().all(|step| step.waiting.is_none()) {
        return None;
    }
    let show = format!("runbook runs show {}", row.run);
    let next = follower.told(&view).next().into_iter().map(|(command, _)| command);
    let halt = (what == What::HaltOff).then(|| "runbook halt off --reason WHY".to_owned());
    Some(Waiting {
        what,
        commands: halt.into_iter().chain(next.filter(|command| *command != show)).collect(),
    })
}
