//! The whole runbook: its head, its parts, and what can only be checked once all parts are known.

use std::time::Duration;

use serde_json::Value;

use super::names::{Names, Output, Sees, Visible};
use super::order::Order;
use super::reader::{Field, Fields, Reader};
use super::step::{Draft, Drafts};
use super::{ChildSignature, Known, grant, parameter, step, trigger, uses};
use crate::grant::Grants;
use crate::runbook::{OnFailure, Risk, Runbook, Template, Uses};
use crate::trouble::Trouble;
use crate::yaml;
use words::duration::format_duration;
use words::ids::{Digest, RunbookName, Section};

/// Of the whole run, `undo` and `finally` apart, unless `timeout` says otherwise.
pub const DEFAULT_RUN_TIMEOUT: Duration = Duration::from_hours(1);
/// How old an interrupted run may be to be carried on without a person, unless `resume_within` says otherwise.
pub const DEFAULT_RESUME_WITHIN: Duration = Duration::from_mins(15);
/// The format that this version reads.
const FORMAT: u64 = 1;
/// The most outputs.
const MAX_OUTPUTS: usize = 100;

/// The keys of a runbook, in the order of the documentation.
const KEYS: [&str; 14] = [
    "format",
    "runbook",
    "summary",
    "about",
    "risk",
    "owner",
    "parameters",
    "triggers",
    "timeout",
    "resume_within",
    "grants",
    "steps",
    "finally",
    "outputs",
];

/// In `outputs`.
const IN_OUTPUTS: &[&str] = &["parameters", "steps", "run", "trigger", "alert"];

/// The runbook at the root; troubles are noted, and `None` only means that there was nothing to read.
pub(super) fn runbook(
    reader: &mut Reader,
    root: &Field<'_>,
    text: &str,
    known: &Known<'_>,
) -> Option<Runbook> {
    let fields = reader.fields(root, &KEYS);
    format(reader, &fields);
    let name = name(reader, &fields);
    let prose = |reader: &mut Reader, key: &str| fields.get(key).and_then(|field| reader.prose(&field));
    let summary = prose(reader, "summary").unwrap_or_default();
    let about = prose(reader, "about").unwrap_or_default();
    let owner = prose(reader, "owner");
    let risk = fields.get("risk").and_then(|field| reader.word(&field, &RISKS));
    let duration =
        |reader: &mut Reader, key: &str| fields.get(key).and_then(|field| reader.some_duration(&field));
    let timeout = duration(reader, "timeout").unwrap_or(DEFAULT_RUN_TIMEOUT);
    let resume_within = duration(reader, "resume_within").unwrap_or(DEFAULT_RESUME_WITHIN);
    let parameters = fields.get("parameters").map(|field| parameter::all(reader, &field)).unwrap_or_default();
    reader.parameters.clone_from(&parameters);
    let triggers =
        fields.get("triggers").map(|field| trigger::all(reader, &field, &parameters)).unwrap_or_default();
    let grants = fields.get("grants").map(|field| grant::all(reader, &field)).unwrap_or_default();
    let outputs = fields.get("outputs").map(|field| outputs(reader, &field)).unwrap_or_default();
    let (drafts, order) = steps(reader, &fields, timeout);
    reader.unreadable = reader.troubles.len();
    if let Some(field) = fields.get("grants") {
        grant::check_names(reader, &field);
    }
    for draft in drafts.iter() {
        uses::check(reader, draft, known, &grants);
    }
    let outputs_of = drafts.iter().map(|draft| output(draft, known)).collect();
    let attempts = drafts.iter().map(|draft| answer(&draft.step.uses, known)).collect();
    let undo = |draft: &Draft<'_>| {
        draft.step.undo.as_ref().map_or(Output::Unknown, |undo| answer(&undo.uses, known))
    };
    let undos = drafts.iter().map(undo).collect();
    let all = Names { parameters: &parameters, order: &order, outputs: outputs_of, attempts, undos };
    names(reader, &all);
    Some(Runbook {
        name: name?,
        summary,
        about,
        risk: effective(risk, &grants),
        owner,
        parameters,
        triggers,
        timeout,
        resume_within,
        grants,
        steps: drafts.steps.into_iter().map(|draft| draft.step).collect(),
        finally: drafts.finally.into_iter().map(|draft| draft.step).collect(),
        outputs,
        digest: Digest::of(text),
        text: text.to_owned(),
    })
}

const RISKS: [(&str, Risk); 3] = [("low", Risk::Low), ("medium", Risk::Medium), ("high", Risk::High)];

/// The least risk of a runbook with these grants: whoever may change something can do harm, and what has seen the plain text
/// of a secret can pass it on.
fn floor(grants: &Grants) -> Risk {
    if grants.reveals() {
        Risk::High
    } else if grants.writes() {
        Risk::Medium
    } else {
        Risk::Low
    }
}

/// `risk` of a runbook only raises what its grants make of it.
fn effective(written: Option<Risk>, grants: &Grants) -> Risk {
    written.unwrap_or(Risk::Low).max(floor(grants))
}

fn word(risk: Risk) -> &'static str {
    RISKS.iter().find(|(_, known)| *known == risk).map_or("", |(word, _)| word)
}

/// The risk of a text, as far as it can be read.
pub(super) fn risk_of(reader: &mut Reader, root: &Field<'_>) -> Risk {
    let fields = reader.fields(root, &KEYS);
    let written = fields.get("risk").and_then(|field| reader.word(&field, &RISKS));
    let grants = fields.get("grants").map(|field| grant::all(reader, &field)).unwrap_or_default();
    effective(written, &grants)
}

/// A risk that is written and is less than what the grants make of it.
fn risk_below_floor(runbook: &Runbook) -> Option<Trouble> {
    let root = yaml::read(&runbook.text).0?;
    let node = root.get("risk")?;
    let (written, _) =
        RISKS.iter().find(|(word, risk)| Some(*word) == node.as_text() && *risk < runbook.risk)?;
    let (now, why) = match floor(&runbook.grants) {
        Risk::High => (Risk::High, "it may see the plain text of secrets"),
        _ => (Risk::Medium, "its grants change something"),
    };
    let now = word(now);
    Some(Trouble {
        line: node.place.line,
        column: node.place.column,
        message: format!("the risk is `{now}`, not `{written}`: {why}"),
        hint: Some(format!("write `risk: {now}`, or remove the grant")),
    })
}

fn format(reader: &mut Reader, fields: &Fields<'_>) {
    let Some(field) = fields.require(reader, "format", "begin the file with `format: 1`") else { return };
    let hint = Some("write `format: 1`".to_owned());
    match field.node.to_json() {
        Value::Number(number) if number.as_u64() == Some(FORMAT) => {}
        Value::Number(number) if number.as_u64().is_some_and(|number| number > FORMAT) => {
            let message = format!("the runbook is written for a newer version of runbook (format {number})");
            reader.wrong(
                &field,
                message,
                Some(format!("update runbook; this version reads format {FORMAT}")),
            );
        }
        Value::Number(number) => {
            reader.wrong(
                &field,
                format!("there is no format {number}; this version reads format {FORMAT}"),
                hint,
            );
        }
        _ => reader.wrong(&field, "this must be the number 1", hint),
    }
}

fn name(reader: &mut Reader, fields: &Fields<'_>) -> Option<RunbookName> {
    let field = fields.require(reader, "runbook", "name it: `runbook: service-restart`")?;
    let text = reader.text(&field)?;
    match RunbookName::new(text) {
        Ok(name) => Some(name),
        Err(error) => {
            let kebab: String = text
                .to_lowercase()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect();
            let hint = RunbookName::new(kebab.trim_matches('-')).map_or_else(
                |_| "for example `service-restart`".to_owned(),
                |name| format!("write `{name}`"),
            );
            reader.wrong(&field, error.to_string(), Some(hint));
            None
        }
    }
}

fn outputs(reader: &mut Reader, field: &Field<'_>) -> Vec<(String, Template)> {
    let sees = Sees { words: IN_OUTPUTS, steps: Visible::All };
    let entries = reader.entries(field);
    if entries.len() > MAX_OUTPUTS {
        let hint = "an output can be a map".to_owned();
        reader.wrong(field, format!("there are more than {MAX_OUTPUTS} outputs"), Some(hint));
    }
    let mut outputs = Vec::new();
    for (name, field) in entries {
        if words::ids::ParameterName::new(name).is_err() {
            let message =
                format!("{}: an output's name is lower-case letters, digits and underscores", field.path);
            reader.note(field.key, message, Some("for example `restarted`".to_owned()));
        }
        outputs.extend(reader.template(&field, &sees).map(|template| (name.to_owned(), template)));
    }
    outputs
}

fn steps<'n>(reader: &mut Reader, fields: &Fields<'n>, timeout: Duration) -> (Drafts<'n>, Order) {
    let mut drafts = Drafts::default();
    if let Some(field) = fields.require(reader, "steps", "add `steps:` and at least one step") {
        drafts.steps = step::all(reader, &field, Section::Steps, 0, timeout);
    }
    if let Some(field) = fields.get("finally") {
        drafts.finally = step::all(reader, &field, Section::Finally, drafts.steps.len(), timeout);
    }
    let order = step::order(reader, &drafts);
    (drafts, order)
}

fn output<'k>(draft: &Draft<'_>, known: &Known<'k>) -> Output<'k> {
    if draft.step.for_each.is_some() { Output::List } else { answer(&draft.step.uses, known) }
}

/// What one attempt answers.
fn answer<'k>(uses: &Uses, known: &Known<'k>) -> Output<'k> {
    match uses {
        Uses::Plugin { plugin, step } => {
            known.catalogue.step(plugin, step).map_or(Output::Unknown, |step| Output::Schema(&step.output))
        }
        Uses::Runbook(name) => {
            known.runbooks.get(name).map_or(Output::Unknown, |child| Output::Names(&child.outputs))
        }
        Uses::Sleep | Uses::AskPerson | Uses::ManualStep => Output::Unknown,
    }
}

fn names(reader: &mut Reader, names: &Names<'_>) {
    let sightings = std::mem::take(&mut reader.sightings);
    reader.troubles.extend(sightings.iter().filter_map(|sighting| names.check(sighting)));
}

/// What others need to know; troubles are of no interest then.
pub(super) fn signature(reader: &mut Reader, root: &Field<'_>) -> ChildSignature {
    let fields = reader.fields(root, &KEYS);
    let parameters = fields.get("parameters").map(|field| parameter::all(reader, &field)).unwrap_or_default();
    let outputs = fields.get("outputs").map(|field| outputs(reader, &field)).unwrap_or_default();
    ChildSignature { parameters, outputs: outputs.into_iter().map(|(name, _)| name).collect() }
}

/// Worth a second look.
pub(super) fn lints(file: &str, runbook: &Runbook) -> Vec<Trouble> {
    let lint =
        |message: String, hint: &str| Trouble { line: 1, column: 1, message, hint: Some(hint.to_owned()) };
    let mut lints = Vec::new();
    let stem = file.rsplit('/').next().unwrap_or(file);
    let stem = stem.strip_suffix(".yaml").or_else(|| stem.strip_suffix(".yml")).unwrap_or(stem);
    if stem != runbook.name.as_str() && !file.starts_with("library/") {
        let message = format!("the file is called `{stem}` and the runbook `{}`", runbook.name);
        lints.push(lint(message, "`runbook run NAME` looks for the name of the runbook"));
    }
    if runbook.summary.is_empty() {
        lints.push(lint("the runbook has no `summary`".to_owned(), "say in one sentence what it does"));
    }
    lints.extend(risk_below_floor(runbook));
    let ignored = runbook.steps.iter().all(|step| step.on_failure == OnFailure::Continue);
    if ignored {
        let hint = "leave out `on_failure: continue` where a failure matters";
        lints.push(lint("no step can make the run fail".to_owned(), hint));
    }
    let longest = runbook.steps.iter().max_by_key(|step| step.timeout);
    if let Some(step) = longest.filter(|step| step.timeout > runbook.timeout) {
        let message = format!(
            "the step `{}` may take {} and the whole run only {}",
            step.id,
            format_duration(step.timeout),
            format_duration(runbook.timeout)
        );
        lints.push(Trouble {
            line: step.line,
            column: 1,
            message,
            hint: Some("raise `timeout` of the runbook".to_owned()),
        });
    }
    lints
}
