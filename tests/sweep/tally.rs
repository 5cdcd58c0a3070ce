//! What all cases came to, as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::case::{Report, Verdict};

/// The longest time from an engine's start to its first decision about an unfinished run.
pub(crate) const FIRST_DECISION: Duration = Duration::from_secs(5);

/// The count of one shape.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) cases: usize,
    pub(crate) kills: usize,
    pub(crate) never_accepted: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) stuck: usize,
    pub(crate) in_doubt: usize,
    pub(crate) wrongly_in_doubt: usize,
    pub(crate) slowest: Duration,
}

/// Counts by shape, and every case that went wrong.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: BTreeMap<String, Row>,
    wrong: Vec<String>,
}

impl Tally {
    /// Says what went wrong, if it did.
    pub(crate) fn count(&mut self, shape: &str, place: &str, report: &Report) -> Option<&str> {
        let row = self.rows.entry(shape.to_owned()).or_default();
        row.cases += 1;
        row.kills += usize::from(report.killed);
        row.slowest = row.slowest.max(report.first_decision.unwrap_or_default());
        let (counter, why) = match &report.verdict {
            Verdict::Right => return None,
            Verdict::NeverAccepted => (&mut row.never_accepted, None),
            Verdict::InDoubt => (&mut row.in_doubt, None),
            Verdict::WronglyInDoubt(why) => (&mut row.wrongly_in_doubt, Some(("in doubt", why))),
            Verdict::Lost(why) => (&mut row.lost, Some(("lost", why))),
            Verdict::Doubled(why) => (&mut row.doubled, Some(("doubled", why))),
            Verdict::Stuck(why) => (&mut row.stuck, Some(("stuck", why))),
        };
        *counter += 1;
        let (word, why) = why?;
        self.wrong.push(format!("{shape}, {place}: {word}: {why}"));
        self.wrong.last().map(String::as_str)
    }

    pub(crate) fn kills(&self) -> usize {
        self.rows.values().map(|row| row.kills).sum()
    }

    /// Everything that went wrong.
    pub(crate) fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// The shapes whose first decision took too long: a figure, of a machine that is not busy.
    pub(crate) fn slow(&self) -> Vec<String> {
        let slow = self.rows.iter().filter(|(_, row)| row.slowest > FIRST_DECISION);
        slow.map(|(shape, row)| format!("{shape}: the first decision took {:?}", row.slowest)).collect()
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<18} {:>6} {:>6} {:>5} {:>8} {:>6} {:>9} {:>6} {:>13} {:>14}\n",
            "shape",
            "cases",
            "kills",
            "lost",
            "doubled",
            "stuck",
            "in doubt",
            "wrong",
            "not accepted",
            "first decision"
        );
        let mut all = Row::default();
        for (name, row) in &self.rows {
            line(&mut text, name, row);
            all.cases += row.cases;
            all.kills += row.kills;
            all.lost += row.lost;
            all.doubled += row.doubled;
            all.stuck += row.stuck;
            all.in_doubt += row.in_doubt;
            all.wrongly_in_doubt += row.wrongly_in_doubt;
            all.never_accepted += row.never_accepted;
            all.slowest = all.slowest.max(row.slowest);
        }
        line(&mut text, "all", &all);
        text
    }
}

fn line(text: &mut String, name: &str, row: &Row) {
    let _ = writeln!(
        text,
        "{name:<18} {:>6} {:>6} {:>5} {:>8} {:>6} {:>9} {:>6} {:>13} {:>11} ms",
        row.cases,
        row.kills,
        row.lost,
        row.doubled,
        row.stuck,
        row.in_doubt + row.wrongly_in_doubt,
        row.wrongly_in_doubt,
        row.never_accepted,
        row.slowest.as_millis()
    );
}
