//! `runbook show`: what a runbook is for, what it takes, what it does, and what it may do at most.

use clap::Args;
use serde_json::{Value, json};

use super::Ended;
use super::context::Context;
use super::output::paint::Paint;
use super::output::table::Table;
use super::render::{card, value};
use crate::error::{exit, printable};
use model::runbook::{Parameter, Runbook, Step};
use words::text::for_shell;

/// Show what a runbook is for, what it takes, its steps, and what it may do at most
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook show service-restart
  runbook show service-restart --yaml > runbooks/my-restart.yaml      a copy to change
  runbook show ./my.yaml --output json")]
pub(super) struct Show {
    /// A name of the library or of the folder `runbooks`, or a file
    #[arg(value_name = "NAME|FILE")]
    runbook: String,
    /// Print the text itself
    #[arg(long)]
    yaml: bool,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Ended {
        if self.yaml {
            context.out.exact(&context.library()?.find(&self.runbook)?.text);
            return Ok(exit::SUCCEEDED);
        }
        let (source, runbook) = context.runbook(&self.runbook)?;
        if context.out.is_json() {
            context.out.json(&document(&source.file, &runbook));
        } else {
            context.out.raw(&text(&source.file, &runbook, context.out.paint, context.out.table_width()));
        }
        Ok(exit::SUCCEEDED)
    }
}

fn text(file: &str, runbook: &Runbook, paint: Paint, width: Option<usize>) -> String {
    let mut text = format!("{}  {}\n", paint.bold(runbook.name.as_str()), paint.dim(&printable(file)));
    text.push_str(&format!("{}\n", printable(&runbook.summary)));
    if !runbook.about.trim().is_empty() {
        let lines: Vec<String> = runbook.about.trim().lines().map(printable).collect();
        text.push_str(&format!("\n{}\n", lines.join("\n")));
    }
    if !runbook.parameters.is_empty() {
        let mut table = Table::new(&["PARAMETER", "TYPE", "DEFAULT", "ABOUT"]);
        for parameter in &runbook.parameters {
            let default = parameter.default.as_ref().map_or_else(|| "required".to_owned(), value::short);
            table.row(vec![
                parameter.name.as_str().into(),
                kind(parameter).into(),
                default.into(),
                about(parameter).into(),
            ]);
        }
        text.push_str(&format!("\n{}", table.render(paint, width)));
    }
    let mut table = Table::new(&["STEP", "USES", "WHAT"]);
    for (section, step) in all_steps(runbook) {
        let name = format!("{section}{}", step.id);
        table.row(vec![name.into(), step.uses.to_string().into(), step.summary.as_str().into()]);
    }
    text.push_str(&format!("\n{}", table.render(paint, width)));
    text.push_str(&format!("\n{}", card::written(runbook, paint)));
    let mut command = format!("runbook run {}", for_shell(name_or_file(file, runbook)));
    for parameter in runbook.parameters.iter().filter(|parameter| parameter.default.is_none()) {
        command.push_str(&format!(" -p {}=…", parameter.name));
    }
    text.push_str(&format!("\n{command}\n"));
    text
}

fn name_or_file<'a>(file: &'a str, runbook: &'a Runbook) -> &'a str {
    if file.starts_with("library/") { runbook.name.as_str() } else { file }
}

fn all_steps(runbook: &Runbook) -> impl Iterator<Item = (&'static str, &Step)> {
    let steps = runbook.steps.iter().map(|step| ("", step));
    steps.chain(runbook.finally.iter().map(|step| ("finally:", step)))
}

fn kind(parameter: &Parameter) -> String {
    serde_json::to_value(parameter.kind)
        .ok()
        .and_then(|kind| kind.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What it means, and what it may be.
fn about(parameter: &Parameter) -> String {
    let mut rules = Vec::new();
    if !parameter.choices.is_empty() {
        let choices: Vec<_> = parameter.choices.iter().map(value::short).collect();
        rules.push(format!("one of {}", choices.join(", ")));
    }
    rules.extend(parameter.minimum.as_ref().map(|least| format!("at least {}", value::short(least))));
    rules.extend(parameter.maximum.as_ref().map(|most| format!("at most {}", value::short(most))));
    match (parameter.about.as_str(), rules.is_empty()) {
        (about, true) => about.to_owned(),
        ("", false) => rules.join("; "),
        (about, false) => format!("{about} ({})", rules.join("; ")),
    }
}

fn document(file: &str, runbook: &Runbook) -> Value {
    let parameters: Vec<Value> = runbook
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name, "type": parameter.kind, "about": parameter.about,
                "required": parameter.default.is_none(), "default": parameter.default,
                "minimum": parameter.minimum, "maximum": parameter.maximum,
                "choices": parameter.choices, "pattern": parameter.pattern,
            })
        })
        .collect();
    let steps: Vec<Value> = all_steps(runbook)
        .map(|(section, step)| {
            json!({
                "path": format!("{section}{}", step.id), "uses": step.uses.to_string(), "summary": step.summary,
                "expect": step.expect, "if_it_fails": step.if_it_fails, "line": step.line,
            })
        })
        .collect();
    json!({
        "name": runbook.name, "file": file, "summary": runbook.summary, "about": runbook.about,
        "risk": runbook.risk, "owner": runbook.owner, "digest": runbook.digest,
        "parameters": parameters, "steps": steps, "may": card::may(runbook),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::parse::{Known, parse};

    #[test]
    fn what_a_file_says_does_not_steer_the_terminal() {
        let written = "format: 1\nrunbook: it\nsummary: \"One \\e[31mstep.\"\nabout: \"First\\e[2J\\nsecond\"\nsteps:\n  \
                       - { id: a, summary: \"Do \\e[1m\", uses: core.log, with: { message: hi } }\n";
        let catalogue = host::embedded::catalogue();
        let known = Known { catalogue: &catalogue, runbooks: &std::collections::BTreeMap::new() };
        let runbook = parse("it.yaml", written, &known).unwrap_or_else(|t| panic!("{}", t.render()));
        let shown = text("it.yaml", &runbook, Paint(false), None);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        assert!(shown.contains("First\\u{1b}[2J\nsecond\n"), "{shown}");
    }
}
