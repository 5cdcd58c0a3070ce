//! A run for people: how it stands, what came of each step, and when it did not go well, what to do next.

use serde_json::{Value, json};

use super::value;
use crate::cli::output::paint::Paint;
use crate::cli::output::table::{Cell, Table};
use crate::cli::output::time;
use run::differences::words;
use run::question::{self, Commands};
use run::view::{RunView, StepView};
use words::effect::FailureKind;
use words::ids::RunId;
use words::text::for_shell;

/// The most of a step's last lines shown.
const MAX_LINES: usize = 12;

/// What is told of a run.
#[derive(Debug, Clone)]
pub(crate) struct Told<'a> {
    /// Its view.
    pub(crate) view: &'a RunView,
    /// Its parameters, complete.
    pub(crate) parameters: &'a Value,
    /// Where its runbook was found, as it was accepted; empty if it is not known.
    pub(crate) file: &'a str,
    /// Those that are not what they are by default.
    pub(crate) given: Vec<(&'a str, &'a Value)>,
    /// The time, milliseconds since 1970.
    pub(crate) now_ms: u64,
}

impl Told<'_> {
    fn id(&self) -> &str {
        self.view.run.as_ref().map_or("last", RunId::as_str)
    }

    fn runbook(&self) -> &str {
        self.view.runbook.as_ref().map_or("?", |name| name.as_str())
    }

    /// What finds the runbook again: a file by its path, the library's by their names.
    fn name_or_file(&self) -> &str {
        let of_library = self.file.is_empty() || self.file.starts_with("library/");
        // A child's text came with its parent.
        if of_library || self.file.contains(" (used by ") { self.runbook() } else { self.file }
    }

    fn span(&self) -> Option<String> {
        let from = self.view.started_ms.or(self.view.accepted_ms)?;
        Some(time::span(self.view.finished_ms.unwrap_or(self.now_ms).saturating_sub(from)))
    }

    /// The document for programs.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!(self.view);
        if let Value::Object(map) = &mut document {
            map.insert("parameters".to_owned(), self.parameters.clone());
            let next =
                self.next().into_iter().map(|(command, why)| json!({ "command": command, "why": why }));
            map.insert("next".to_owned(), next.collect());
        }
        document
    }

    /// One line, and the outputs if there are any.
    pub(crate) fn end(&self, paint: Paint) -> String {
        let status = self.view.status.as_str();
        let mut text = format!("{} {} {}", paint.status(status), paint.bold(self.runbook()), self.id());
        if let Some(span) = self.span() {
            text.push_str(&format!(" in {span}"));
        }
        if let Some(message) = self.view.message.as_deref().filter(|message| !message.is_empty()) {
            text.push_str(&format!(": {}", crate::error::printable(message)));
        }
        text.push('\n');
        if let Some(Value::Object(outputs)) = &self.view.outputs {
            for (name, output) in outputs.iter().filter(|(_, output)| !output.is_null()) {
                text.push_str(&format!("  {name} = {}\n", value::short(output)));
            }
        }
        text
    }

    /// Everything about it: the end, the steps, what is asked, what is in doubt.
    pub(crate) fn whole(&self, paint: Paint, width: Option<usize>) -> String {
        let mut text = self.end(paint);
        let parameters = value::inline(self.parameters);
        if !parameters.is_empty() {
            text.push_str(&format!("  with {parameters}\n"));
        }
        text.push('\n');
        text.push_str(&self.steps().render(paint, width));
        text
    }

    fn steps(&self) -> Table {
        let mut table = Table::new(&["STEP", "STATUS", "TIME", "WHAT"]);
        for step in &self.view.steps {
            let span = step
                .started_ms
                .map(|from| time::span(step.finished_ms.unwrap_or(self.now_ms).saturating_sub(from)));
            let tries =
                if step.attempts > 1 { format!("attempt {}: ", step.attempts) } else { String::new() };
            table.row(vec![
                step.path.to_string().into(),
                Cell::status(step.status.as_str()),
                span.unwrap_or_default().into(),
                format!("{tries}{}", what(step)).into(),
            ]);
        }
        table
    }

    /// What a person needs when it did not go well: the step's own advice, its last lines, the next commands.
    pub(crate) fn help(&self, paint: Paint) -> String {
        let mut text = String::new();
        for step in self.view.steps.iter().filter(|step| step.failure.is_some() && step.status == "failed") {
            text.push_str(&failed(step, paint));
        }
        for doubt in &self.view.in_doubt {
            text.push_str(&format!(
                "{} {} {}: {}\n",
                paint.red("in doubt:"),
                paint.bold(&doubt.path.to_string()),
                doubt.function,
                crate::error::printable(&doubt.message)
            ));
        }
        for step in &self.view.steps {
            if let Some(question) = &step.waiting {
                let who = crate::error::printable(&question.answerers_in_words());
                let asked = crate::error::printable(&question.text);
                text.push_str(&format!(
                    "{} {}: {asked}\n  {} {who}\n",
                    paint.yellow("asked:"),
                    paint.bold(&step.path.to_string()),
                    paint.dim("may answer:")
                ));
            }
        }
        text.push_str(&self.not_as_before(paint));
        let next = self.next();
        if !next.is_empty() {
            text.push_str(&format!("{}\n", paint.cyan("next:")));
            let width = next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
            for (command, why) in next {
                let pad = width - command.chars().count();
                text.push_str(&format!("  {command}{}  {}\n", " ".repeat(pad), paint.dim(why)));
            }
        }
        text
    }

    /// One line for each container that is not as it was, and when the run last looked at it.
    fn not_as_before(&self, paint: Paint) -> String {
        let mut text = String::new();
        for difference in &self.view.not_as_before {
            let words = crate::error::printable(&words(std::slice::from_ref(difference)));
            let seen = paint.dim(&format!("(seen at {})", time::of_day(difference.seen_ms)));
            text.push_str(&format!("{} {words} {seen}\n", paint.yellow("not as before:")));
        }
        text
    }

    /// The exact next commands, and why.
    pub(crate) fn next(&self) -> Vec<(String, &'static str)> {
        let id = self.id();
        let show = (format!("runbook runs show {id}"), "everything that happened");
        let mut next = Vec::new();
        match self.view.status.as_str() {
            "succeeded" | "skipped" => return next,
            "in-doubt" => {
                next.push((format!("runbook runs settle {id} --done"), "it did happen"));
                next.push((format!("runbook runs settle {id} --retry"), "it did not: do it"));
                next.push((format!("runbook runs settle {id} --fail"), "let the step fail"));
            }
            "waiting" => next.extend(self.answers()),
            "left" => {
                next.push((format!("runbook runs resume {id}"), "carry on"));
                next.push((format!("runbook runs cancel {id} --undo"), "undo what was done, and end"));
            }
            "queued" | "running" => next.push((format!("runbook runs watch {id}"), "follow it")),
            _ => {
                next.push(show);
                if let Some(service) =
                    self.parameters.get("service").filter(|_| self.runbook() != "diagnose-service")
                {
                    let command = format!("runbook run diagnose-service {}", value::flag("service", service));
                    next.push((command, "collect logs, stats and events"));
                }
                next.push((self.again(), "once the cause is gone"));
                return next;
            }
        }
        next.push(show);
        next
    }

    fn answers(&self) -> Vec<(String, &'static str)> {
        let id = self.id();
        let asked: Vec<&StepView> = self.view.steps.iter().filter(|step| step.waiting.is_some()).collect();
        let mut next = Vec::new();
        for step in &asked {
            let named = (asked.len() > 1).then_some(&step.path);
            let Commands { yes, no } = question::commands(id, named, &step.uses);
            next.push((yes, if no.is_some() { "let it go on" } else { "say that it is done" }));
            next.extend(no.map(|no| (no, "do not")));
        }
        if asked.is_empty() && self.view.steps.iter().all(|step| step.waiting_until_ms.is_none()) {
            next.push((format!("runbook runs resume {id}"), "carry on"));
        }
        next
    }

    fn again(&self) -> String {
        let mut command = format!("runbook run {}", for_shell(self.name_or_file()));
        for (name, value) in &self.given {
            command.push_str(&format!(" {}", value::flag(name, value)));
        }
        command
    }
}

/// A failed step with its advice and its last lines.
fn failed(step: &StepView, paint: Paint) -> String {
    let path = paint.bold(&step.path.to_string());
    let message = step.failure.as_ref().map_or("", |failure| failure.message.as_str());
    let denied = step.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Denied);
    let word = if denied { "denied:" } else { "failed:" };
    let mut text = format!("{} {path}: {}\n", paint.red(word), crate::error::printable(message));
    let mut line = |heading: &str, words: &Option<String>| {
        if let Some(words) = words {
            text.push_str(&format!("  {} {}\n", paint.dim(heading), crate::error::printable(words)));
        }
    };
    line("expected:", &step.expect);
    line("if it fails:", &step.if_it_fails);
    let skipped = step.lines.len().saturating_sub(MAX_LINES);
    for (number, logged) in step.lines.iter().skip(skipped).enumerate() {
        let heading = if number == 0 { "last lines:" } else { "           " };
        text.push_str(&format!("  {} {}\n", paint.dim(heading), crate::error::printable(logged)));
    }
    text
}

/// What a step does or what came of it, in words.
pub(crate) fn what(step: &StepView) -> String {
    let failure =
        step.failure.as_ref().filter(|_| step.status == "failed").map(|failure| failure.message.clone());
    let question = step.waiting.as_ref().map(|question| match question.answerers() {
        None => question.text.clone(),
        Some(_) => format!("{} (may answer: {})", question.text, question.answerers_in_words()),
    });
    let words = failure.or_else(|| step.skipped.clone()).or(question).or_else(|| step.summary.clone());
    crate::error::printable(&words.unwrap_or_else(|| step.uses.clone()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use expect_test::expect;
    use run::differences::{Difference, What};
    use run::question::Question;
    use words::effect::{Failure, FailureKind};
    use words::ids::RunbookName;

    pub(crate) fn step(path: &str, status: &str) -> StepView {
        StepView {
            path: path.parse().unwrap(),
            uses: "service.restart".to_owned(),
            status: status.to_owned(),
            attempts: 1,
            started_ms: Some(1_000),
            finished_ms: Some(3_500),
            output: None,
            failure: None,
            skipped: None,
            waiting: None,
            waiting_until_ms: None,
            child: None,
            lines: Vec::new(),
            summary: Some("Restart it.".to_owned()),
            expect: None,
            if_it_fails: None,
        }
    }

    pub(crate) fn run(status: &str, steps: Vec<StepView>) -> RunView {
        RunView {
            run: Some(RunId::new("0mabc000000001").unwrap()),
            runbook: Some(RunbookName::new("service-restart").unwrap()),
            status: status.to_owned(),
            accepted_ms: Some(1_000),
            started_ms: Some(1_000),
            finished_ms: Some(13_000),
            message: None,
            outputs: Some(json!({})),
            locks: Vec::new(),
            locks_taken_by: None,
            in_doubt: Vec::new(),
            asked: Vec::new(),
            not_as_before: Vec::new(),
            steps,
        }
    }

    fn told<'a>(view: &'a RunView, parameters: &'a Value) -> Told<'a> {
        let given = parameters.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value));
        Told { view, parameters, file: "library/service-restart", given: given.collect(), now_ms: 20_000 }
    }

    #[test]
    fn a_failure_comes_with_advice_lines_and_commands() {
        let failure =
            Failure::new(FailureKind::TimedOut, "service.unhealthy", "`web-2` is not healthy after 1m");
        let failed = StepView {
            failure: Some(failure),
            expect: Some("Each replica is healthy.".to_owned()),
            if_it_fails: Some("A new image? Use deploy-rollback.".to_owned()),
            lines: vec!["starting".to_owned(), "no route to db".to_owned()],
            ..step("restart", "failed")
        };
        let view =
            RunView { message: Some("step `restart` failed".to_owned()), ..run("failed", vec![failed]) };
        let parameters = json!({"service": "shop/web"});
        let told = told(&view, &parameters);
        expect![[r"
            failed service-restart 0mabc000000001 in 12 s: step `restart` failed
            failed: restart: `web-2` is not healthy after 1m
              expected: Each replica is healthy.
              if it fails: A new image? Use deploy-rollback.
              last lines: starting
                          no route to db
            next:
              runbook runs show 0mabc000000001                  everything that happened
              runbook run diagnose-service -p service=shop/web  collect logs, stats and events
              runbook run service-restart -p service=shop/web   once the cause is gone
        "]]
        .assert_eq(&format!("{}{}", told.end(Paint(false)), told.help(Paint(false))));
    }

    #[test]
    fn a_container_that_is_not_as_it_was_has_a_line() {
        let down = Difference {
            what: What::Down,
            container: "shop-web-1".to_owned(),
            id: "1".to_owned(),
            name_now: None,
            seen_ms: 3_000,
        };
        let view = RunView { not_as_before: vec![down], ..run("left", Vec::new()) };
        let parameters = json!({});
        let told = told(&view, &parameters);
        let line = told.help(Paint(false)).lines().next().unwrap_or_default().to_owned();
        assert!(line.starts_with("not as before: `shop-web-1` is down (seen at "), "{line}");
        assert_eq!(told.document()["not_as_before"][0]["what"], "down");
    }

    #[test]
    fn a_run_from_a_file_is_run_again_from_the_file() {
        let view = run("failed", vec![step("restart", "failed")]);
        let parameters = json!({"why": "a\u{1b}[2J"});
        let told = Told { file: "./my books/slow.yaml", ..told(&view, &parameters) };
        let again = told.next().pop().unwrap().0;
        assert_eq!(again, r"runbook run './my books/slow.yaml' -p $'why=a\u001b[2J'");
    }

    #[test]
    fn who_waits_is_told_how_to_answer() {
        let question = Question {
            text: "Go on?".to_owned(),
            who: vec!["alice".to_owned(), "bob".to_owned()],
            not_by: Some("bob".to_owned()),
            ..Question::default()
        };
        let asked =
            StepView { waiting: Some(question), uses: "ask.person".to_owned(), ..step("ask", "waiting") };
        let view = RunView { finished_ms: None, ..run("waiting", vec![asked]) };
        let parameters = json!({});
        expect![[r"
            asked: ask: Go on?
              may answer: alice, not bob, who asked for the run
            next:
              runbook runs approve 0mabc000000001  let it go on
              runbook runs reject 0mabc000000001   do not
              runbook runs show 0mabc000000001     everything that happened
        "]]
        .assert_eq(&told(&view, &parameters).help(Paint(false)));
    }

    #[test]
    fn the_document_holds_run_runbook_status_and_steps() {
        let view = run("succeeded", vec![step("restart", "succeeded")]);
        let document = told(&view, &json!({})).document();
        assert_eq!(document["run"], "0mabc000000001");
        assert_eq!(document["runbook"], "service-restart");
        assert_eq!(document["status"], "succeeded");
        assert_eq!(document["steps"][0]["path"], "restart");
    }

    #[test]
    fn steps_stand_in_a_table() {
        let skipped = StepView {
            skipped: Some("its condition does not hold".to_owned()),
            started_ms: None,
            ..step("probe", "skipped")
        };
        let view = run("succeeded", vec![step("restart", "succeeded"), skipped]);
        expect![[r"
            succeeded service-restart 0mabc000000001 in 12 s

            STEP     STATUS     TIME   WHAT
            restart  succeeded  2.5 s  Restart it.
            probe    skipped           its condition does not hold
        "]]
        .assert_eq(&told(&view, &json!({})).whole(Paint(false), None));
    }
}
