//! A run as a tree of steps that is drawn again and again. Makes the rows; who writes them knows the cursor.

use std::collections::BTreeMap;

use super::run::what;
use crate::cli::output::paint::Paint;
use crate::cli::output::table::{cut, length};
use crate::cli::output::time;
use run::view::{RunView, StepView};

/// The most lines shown under a running step.
const MAX_NOTES: usize = 3;

/// The last things each step said.
#[derive(Debug, Default)]
pub(crate) struct Said(BTreeMap<String, Vec<String>>);

impl Said {
    /// One more line; only the last few are kept.
    pub(crate) fn push(&mut self, path: &str, text: &str) {
        let lines = self.0.entry(path.to_owned()).or_default();
        lines.push(crate::error::printable(text));
        if lines.len() > MAX_NOTES {
            lines.remove(0);
        }
    }

    fn of(&self, path: &str) -> &[String] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }
}

/// Room and time of one drawing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Canvas {
    /// Colours.
    pub(crate) paint: Paint,
    /// Columns.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
    /// The time, milliseconds since 1970.
    pub(crate) now_ms: u64,
}

/// The rows of a run, none longer than the screen is wide, not more than it is high.
pub(crate) fn rows(view: &RunView, said: &Said, canvas: Canvas) -> Vec<String> {
    let name = view.steps.iter().map(|step| length(&indented(step))).max().unwrap_or(0);
    let mut rows = Vec::new();
    let mut current = 0;
    for step in &view.steps {
        rows.push(row(step, name, canvas));
        if step.status != "pending" {
            current = rows.len();
        }
        if matches!(step.status.as_str(), "running" | "waiting") {
            for line in said.of(&step.path.to_string()) {
                let text = cut(&format!("    {line}"), canvas.width.saturating_sub(1));
                rows.push(canvas.paint.dim(&text));
            }
            current = rows.len();
        }
    }
    let room = canvas.height.saturating_sub(2).max(1);
    if rows.len() <= room {
        return rows;
    }
    let until = (current + room / 4).max(room).min(rows.len());
    rows.drain(..until.saturating_sub(room));
    rows.truncate(room);
    rows
}

fn row(step: &StepView, name: usize, canvas: Canvas) -> String {
    let paint = canvas.paint;
    let span = step
        .started_ms
        .map(|from| time::span(step.finished_ms.unwrap_or(canvas.now_ms).saturating_sub(from)))
        .unwrap_or_default();
    let tries = if step.attempts > 1 { format!(" (attempt {})", step.attempts) } else { String::new() };
    let left = indented(step);
    let pad = " ".repeat(name.saturating_sub(length(&left)));
    let right = format!("{span}{tries}");
    let taken = 2 + name + 2 + length(&right) + 2;
    let words = cut(&what(step), canvas.width.saturating_sub(taken + 1));
    let gap = " ".repeat(canvas.width.saturating_sub(taken + length(&words) + 1) + 2);
    let shown = if step.status == "pending" || step.status == "skipped" { paint.dim(&words) } else { words };
    format!("{} {}{pad}  {shown}{gap}{}", sign(step, canvas), paint.bold(&left), paint.dim(&right))
        .trim_end()
        .to_owned()
}

fn indented(step: &StepView) -> String {
    let indent = if step.path.item.is_some() { "  " } else { "" };
    format!("{indent}{}", step.path)
}

fn sign(step: &StepView, canvas: Canvas) -> String {
    const TURNING: [&str; 4] = ["◐", "◓", "◑", "◒"];
    let sign = match step.status.as_str() {
        "succeeded" => "✔",
        "failed" => "✘",
        "skipped" => "-",
        "in-doubt" | "waiting" => "?",
        "running" => TURNING[usize::try_from(canvas.now_ms / 250 % 4).unwrap_or(0)],
        _ => "·",
    };
    canvas.paint.like(&step.status, sign)
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::{run, step};
    use super::*;
    use expect_test::expect;

    fn canvas(height: usize) -> Canvas {
        Canvas { paint: Paint(false), width: 50, height, now_ms: 10_000 }
    }

    #[test]
    fn steps_stand_below_each_other_with_their_times() {
        let view = run(
            "running",
            vec![
                step("before", "succeeded"),
                StepView { finished_ms: None, attempts: 2, ..step("restart", "running") },
                StepView { started_ms: None, attempts: 0, ..step("probe", "pending") },
            ],
        );
        let mut said = Said::default();
        for line in ["one", "two", "three", "stopping shop-web-2"] {
            said.push("restart", line);
        }
        let rows = rows(&view, &said, canvas(24)).join("\n");
        expect![[r"
            ✔ before   Restart it.                      2.5 s
            ◐ restart  Restart it.          9.0 s (attempt 2)
                two
                three
                stopping shop-web-2
            · probe    Restart it."]]
        .assert_eq(&rows);
    }

    #[test]
    fn no_row_is_wider_and_no_tree_higher_than_the_screen() {
        let mut steps: Vec<_> = (0..40).map(|n| step(&format!("s{n}"), "succeeded")).collect();
        steps[20] =
            StepView { finished_ms: None, summary: Some("x".repeat(300)), ..step("current", "running") };
        for later in &mut steps[21..] {
            later.status = "pending".to_owned();
        }
        let rows = rows(&run("running", steps), &Said::default(), canvas(10));
        assert_eq!(rows.len(), 8);
        assert!(rows.iter().all(|row| length(row) < 50), "{rows:#?}");
        assert!(rows.iter().any(|row| row.contains("current")), "{rows:#?}");
    }
}
