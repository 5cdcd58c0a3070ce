//! `steps` and `finally`: units of work, when they run, and how failures are met.

use std::time::Duration;

use super::names::{IN_HOLDS, IN_ITEM, IN_STEP, IN_UNDO, IN_UNTIL, IN_UNTIL_ITEM, Sees, Visible};
use super::order::Order;
use super::reader::{Field, Fields, Reader, UNREADABLE, Wants};
use super::uses;
use crate::expression::Expression;
use crate::runbook::{ForEach, OnFailure, Part, Retry, Runbook, Step, Template, Undo, Until, Uses};
use crate::trouble::Trouble;
use crate::yaml::{Content, Place};
use words::ids::{Section, StepId};
use words::suggestion;

/// The most items of a `for_each` that is written out; the run holds every other list to the same.
const MAX_ITEMS: usize = 1_000;
/// The most steps under `steps` and under `finally`.
pub const MAX_STEPS: usize = 200;
/// Of one attempt, or with `until` of all of them, unless `timeout` says otherwise. What waits for a person, a time or
/// another run has the time of the whole run.
pub const DEFAULT_STEP_TIMEOUT: Duration = Duration::from_mins(10);
/// Between the end of one attempt of `until` and the next, unless `every` says otherwise.
pub const DEFAULT_EVERY: Duration = Duration::from_secs(5);

const MAX_ATTEMPTS: u32 = 20;
const MAX_PARALLEL: u32 = 100;
const MAX_FAILURES: u32 = 10_000;
const MAX_FACTOR: f64 = 10.0;
const DEFAULT_DELAY: Duration = Duration::from_secs(1);
const DEFAULT_MAX_DELAY: Duration = Duration::from_mins(1);
const DEFAULT_FACTOR: f64 = 2.0;

const KEYS: [&str; 18] = [
    "id",
    "summary",
    "expect",
    "if_it_fails",
    "uses",
    "with",
    "if",
    "for_each",
    "max_parallel",
    "ramp",
    "stop_after",
    "until",
    "every",
    "timeout",
    "retry",
    "on_failure",
    "needs",
    "undo",
];

/// A step and where its parts stand.
#[derive(Debug)]
pub(super) struct Draft<'n> {
    pub(super) step: Step,
    pub(super) field: Field<'n>,
    /// Whether `uses` names something that exists as far as its form goes.
    pub(super) known: bool,
    needs: Vec<(StepId, Place)>,
}

/// All steps.
#[derive(Debug, Default)]
pub(super) struct Drafts<'n> {
    pub(super) steps: Vec<Draft<'n>>,
    pub(super) finally: Vec<Draft<'n>>,
}

impl<'n> Drafts<'n> {
    /// Those of `steps` first, as in [`Order`].
    pub(super) fn iter(&self) -> impl Iterator<Item = &Draft<'n>> + Clone {
        self.steps.iter().chain(&self.finally)
    }
}

/// The steps of a section; `before` is how many steps stand before it.
pub(super) fn all<'n>(
    reader: &mut Reader,
    field: &Field<'n>,
    section: Section,
    before: usize,
    run_timeout: Duration,
) -> Vec<Draft<'n>> {
    let items = reader.items(field, MAX_STEPS);
    if items.is_empty() && section == Section::Steps && matches!(field.node.content, Content::List(_)) {
        reader.wrong(field, "there are no steps", Some("add at least one: `- id: check`".to_owned()));
    }
    let mut drafts: Vec<Draft<'n>> = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let predecessor = drafts.last().map(|draft| draft.step.id.clone());
        let context = Context { position: before + index, section, predecessor, run_timeout };
        drafts.push(draft(reader, item, &context));
    }
    drafts
}

struct Context {
    position: usize,
    section: Section,
    predecessor: Option<StepId>,
    run_timeout: Duration,
}

fn draft<'n>(reader: &mut Reader, field: Field<'n>, context: &Context) -> Draft<'n> {
    let fields = reader.fields(&field, &KEYS);
    let id = id(reader, &fields, context.position);
    let prose = |reader: &mut Reader, key: &str| fields.get(key).and_then(|field| reader.prose(&field));
    let (summary, expect) = (prose(reader, "summary").unwrap_or_default(), prose(reader, "expect"));
    let if_it_fails = prose(reader, "if_it_fails");
    let used = uses::read(reader, &fields);
    let before = Visible::Before(context.position);
    let each = fields.get("for_each").is_some();
    let words = if each { IN_ITEM } else { IN_STEP };
    let sees = Sees { words, steps: before.clone() };
    let with = with(reader, &fields, &sees);
    let condition = fields.get("if").and_then(|field| {
        reader.expression(&field, &Sees { words: IN_STEP, steps: before.clone() }, Wants::Truth)
    });
    let for_each = for_each(reader, &fields, &before);
    let until = until(reader, &fields, each, &before);
    let retry = retry(reader, &fields);
    let timeout = fields.get("timeout").and_then(|field| reader.some_duration(&field));
    let waits = !matches!(used, Some(Uses::Plugin { .. }) | None);
    let usual = if waits { context.run_timeout.max(DEFAULT_STEP_TIMEOUT) } else { DEFAULT_STEP_TIMEOUT };
    let on_failure = fields.get("on_failure").and_then(|field| {
        reader.word(&field, &[("stop", OnFailure::Stop), ("continue", OnFailure::Continue)])
    });
    let undo = fields.get("undo").and_then(|field| {
        if context.section == Section::Finally {
            let message = format!("{}: a step of `finally` is never undone", field.path);
            let hint =
                "the undo has ended before `finally` begins; leave it out, or move the step to `steps`";
            reader.note(field.key, message, Some(hint.to_owned()));
        }
        undo(reader, &field, context.position)
    });
    let needs = fields.get("needs").map(|field| needs(reader, &field));
    let step = Step {
        id,
        summary,
        expect,
        if_it_fails,
        uses: used.clone().unwrap_or(Uses::Sleep),
        with,
        condition,
        for_each,
        until,
        retry,
        timeout: timeout.unwrap_or(usual),
        on_failure: on_failure.unwrap_or(OnFailure::Stop),
        needs: match &needs {
            Some(needs) => needs.iter().map(|(id, _)| id.clone()).collect(),
            None => context.predecessor.iter().cloned().collect(),
        },
        undo,
        line: field.key.line,
    };
    Draft { step, field, known: used.is_some(), needs: needs.unwrap_or_default() }
}

fn id(reader: &mut Reader, fields: &Fields<'_>, position: usize) -> StepId {
    let field = fields.require(reader, "id", "every step has a name of its own: `id: restart`");
    let read = field.as_ref().and_then(|field| Some((field, reader.text(field)?)));
    let checked = read.and_then(|(field, text)| match StepId::new(text) {
        Ok(id) => Some(id),
        Err(error) => {
            let snake: String = text
                .to_lowercase()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            let hint = StepId::new(snake)
                .map_or_else(|_| "for example `restart`".to_owned(), |id| format!("write `{id}`"));
            reader.wrong(field, error.to_string(), Some(hint));
            None
        }
    });
    // A stand-in that nobody can have written by chance, so that the rest of the step is checked as well.
    let stand_in = || StepId::new(format!("step_without_an_id_{position}"));
    match checked.map_or_else(stand_in, Ok) {
        Ok(id) => id,
        Err(error) => unreachable!("the stand-in is a step id: {error}"),
    }
}

fn with(reader: &mut Reader, fields: &Fields<'_>, sees: &Sees) -> Template {
    let Some(field) = fields.get("with") else { return Template::empty() };
    match field.node.content {
        Content::Map(_) => reader.template(&field, sees).unwrap_or_else(Template::empty),
        Content::Scalar(_) | Content::List(_) => {
            reader.entries(&field);
            UNREADABLE
        }
    }
}

fn for_each(reader: &mut Reader, fields: &Fields<'_>, before: &Visible) -> Option<ForEach> {
    let Some(field) = fields.get("for_each") else {
        for key in ["max_parallel", "ramp", "stop_after"] {
            if let Some(field) = fields.get(key) {
                let message = format!("{}: this has no effect without `for_each`", field.path);
                reader.note(field.key, message, Some("add `for_each: LIST`, or leave it out".to_owned()));
            }
        }
        return None;
    };
    let sees = Sees { words: IN_STEP, steps: before.clone() };
    let items = match &field.node.content {
        Content::List(_) => written_list(reader, &field, &sees),
        Content::Map(_) => {
            let hint = "`max_parallel`, `ramp` and `stop_after` stand beside `for_each`".to_owned();
            reader.wrong(&field, "this must be a list or an expression, not a map", Some(hint));
            None
        }
        Content::Scalar(_) => reader.expression(&field, &sees, Wants::List),
    };
    let number = |reader: &mut Reader, key: &str, most: u32| {
        fields.get(key).and_then(|field| reader.integer(&field, 1, most)).unwrap_or(1)
    };
    let max_parallel = number(reader, "max_parallel", MAX_PARALLEL);
    let stop_after = number(reader, "stop_after", MAX_FAILURES);
    let canary =
        fields.get("ramp").and_then(|field| reader.word(&field, &[("canary", true), ("none", false)]));
    Some(ForEach { items: items?, max_parallel, canary: canary.unwrap_or(false), stop_after })
}

/// A list written out in the runbook, as the expression it stands for.
fn written_list(reader: &mut Reader, field: &Field<'_>, sees: &Sees) -> Option<Expression> {
    if let Content::List(items) = &field.node.content
        && items.len() > MAX_ITEMS
    {
        let hint = "split it over several steps".to_owned();
        reader.wrong(field, format!("there are more than {MAX_ITEMS} items"), Some(hint));
        return None;
    }
    let template = reader.template(field, sees)?;
    if let Some(value) = template.literal() {
        return Some(Expression::literal(value, field.node.place.line));
    }
    let text = as_expression(&template);
    match Expression::parse(&text, field.node.place.line) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let hint =
                "a list with `${{ }}` in it counts as one expression; let a parameter or a step hold it"
                    .to_owned();
            reader.wrong(field, format!("this list is too large: {error}"), Some(hint));
            None
        }
    }
}

fn as_expression(template: &Template) -> String {
    let joined = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    match template {
        // JSON is also an expression that means itself.
        Template::Value(value) => value.to_string(),
        Template::Whole(expression) => format!("({})", expression.text()),
        Template::Text(parts) => {
            let texts = parts.iter().map(|part| match part {
                Part::Literal(text) => serde_json::Value::from(text.as_str()).to_string(),
                Part::Expression(expression) => format!("string({})", expression.text()),
            });
            texts.collect::<Vec<_>>().join(" + ")
        }
        Template::List(items) => format!("[{}]", joined(&mut items.iter().map(as_expression))),
        Template::Map(entries) => {
            let mut entries = entries.iter().map(|(name, value)| {
                format!("{}: {}", serde_json::Value::from(name.as_str()), as_expression(value))
            });
            format!("{{{}}}", joined(&mut entries))
        }
    }
}

fn until(reader: &mut Reader, fields: &Fields<'_>, each: bool, before: &Visible) -> Option<Until> {
    let every = fields.get("every");
    let Some(field) = fields.get("until") else {
        if let Some(every) = every {
            let message = format!("{}: this has no effect without `until`", every.path);
            reader.note(
                every.key,
                message,
                Some("add `until: CONDITION`; for failures there is `retry`".to_owned()),
            );
        }
        return None;
    };
    let words = if each { IN_UNTIL_ITEM } else { IN_UNTIL };
    let condition = reader.expression(&field, &Sees { words, steps: before.clone() }, Wants::Truth);
    let every = every.and_then(|field| reader.some_duration(&field)).unwrap_or(DEFAULT_EVERY);
    let timeout = fields.get("timeout").and_then(|field| Some((Reader::peek_duration(&field)?, field)));
    if let Some((_, field)) = timeout.filter(|(timeout, _)| *timeout < every) {
        let hint = "one attempt would be all there is; make it longer than `every`".to_owned();
        reader.wrong(&field, "this is shorter than `every`", Some(hint));
    }
    let condition = condition?;
    if !condition
        .references()
        .iter()
        .any(|reference| reference.path.first().is_some_and(|word| word == "output"))
    {
        let hint = "write for example `until: output.healthy == output.replicas`".to_owned();
        reader.wrong(&field, "the condition does not look at `output`, so it can never change", Some(hint));
    }
    Some(Until { condition, every })
}

fn retry(reader: &mut Reader, fields: &Fields<'_>) -> Retry {
    let once =
        Retry { attempts: 1, delay: DEFAULT_DELAY, factor: DEFAULT_FACTOR, max_delay: DEFAULT_MAX_DELAY };
    let Some(field) = fields.get("retry") else { return once };
    if fields.get("until").is_some() {
        let hint = "`until` waits and asks again; `retry` is for failures. Use one of them".to_owned();
        reader.note(field.key, format!("{}: a step has either `retry` or `until`", field.path), Some(hint));
    }
    let inner = reader.fields(&field, &["attempts", "delay", "factor", "max_delay"]);
    let attempts = inner.require(reader, "attempts", "in all, the first one included: `attempts: 3`");
    let attempts = attempts.and_then(|field| reader.integer(&field, 1, MAX_ATTEMPTS)).unwrap_or(1);
    let delay = inner.get("delay").and_then(|field| reader.duration(&field)).unwrap_or(DEFAULT_DELAY);
    let factor = inner.get("factor").and_then(|field| reader.number(&field, 1.0, MAX_FACTOR));
    let longest = inner.get("max_delay").and_then(|field| reader.duration(&field));
    if let (Some(longest), Some(field)) = (longest, inner.get("max_delay"))
        && longest < delay
    {
        reader.wrong(
            &field,
            "this is shorter than `delay`",
            Some("make it longer, or leave it out".to_owned()),
        );
    }
    Retry {
        attempts,
        delay,
        factor: factor.unwrap_or(DEFAULT_FACTOR),
        max_delay: longest.unwrap_or(DEFAULT_MAX_DELAY.max(delay)),
    }
}

fn undo(reader: &mut Reader, field: &Field<'_>, position: usize) -> Option<Undo> {
    let fields = reader.fields(field, &["uses", "with", "holds"]);
    let uses = uses::read(reader, &fields);
    let steps = Visible::Upto(position);
    let with = with(reader, &fields, &Sees { words: IN_UNDO, steps: steps.clone() });
    let holds = fields
        .get("holds")
        .and_then(|field| reader.expression(&field, &Sees { words: IN_HOLDS, steps }, Wants::Truth));
    match uses? {
        uses @ Uses::Plugin { .. } => Some(Undo { uses, with, holds, line: field.key.line }),
        other => {
            let at = fields.get("uses").map_or(field.node.place, |field| field.node.place);
            let hint = "nobody may be there to answer when a run fails in the night".to_owned();
            reader.note(
                at,
                format!("{}.uses: `{other}` cannot undo; a plugin's step type can", field.path),
                Some(hint),
            );
            None
        }
    }
}

fn needs(reader: &mut Reader, field: &Field<'_>) -> Vec<(StepId, Place)> {
    let items = match field.node.content {
        Content::Scalar(_) if field.node.as_text().is_some() => vec![field.clone()],
        _ => reader.items(field, MAX_STEPS),
    };
    let mut needs: Vec<(StepId, Place)> = Vec::new();
    for item in items {
        let Some(text) = reader.text(&item) else { continue };
        match StepId::new(text) {
            Ok(id) if needs.iter().any(|(known, _)| *known == id) => {
                reader.wrong(&item, format!("`{id}` is written twice"), Some("once is enough".to_owned()));
            }
            Ok(id) => needs.push((id, item.node.place)),
            Err(error) => {
                let hint = "write the `id` of another step".to_owned();
                reader.wrong(&item, error.to_string(), Some(hint));
            }
        }
    }
    needs
}

/// Checks ids and needs across all steps and gives their order.
pub(super) fn order(reader: &mut Reader, drafts: &Drafts<'_>) -> Order {
    let sections = || {
        let steps = drafts.steps.iter().map(|draft| (Section::Steps, draft));
        steps.chain(drafts.finally.iter().map(|draft| (Section::Finally, draft)))
    };
    let all: Vec<(Section, &Draft<'_>)> = sections().collect();
    for (index, (section, draft)) in all.iter().enumerate() {
        let id = &draft.step.id;
        if let Some((_, first)) = all[..index].iter().find(|(_, other)| other.step.id == *id) {
            let at = draft.field.node.get("id").map_or(draft.field.node.place, |node| node.place);
            let hint = format!("the first one is on line {}", first.step.line);
            reader.note(at, format!("{}.id: there is already a step `{id}`", draft.field.path), Some(hint));
        }
        for (need, place) in &draft.needs {
            let found = all.iter().find(|(_, other)| other.step.id == *need);
            let (message, hint) = match found {
                None => {
                    let ids =
                        all.iter().filter(|(of, _)| of == section).map(|(_, draft)| draft.step.id.as_str());
                    (format!("there is no step `{need}`"), suggestion::hint(need.as_str(), ids))
                }
                Some((Section::Steps, _)) if *section == Section::Finally => {
                    let hint = "every step has ended by then; leave it out".to_owned();
                    (format!("`{need}` is not a step of `finally`"), Some(hint))
                }
                Some((of, _)) if of != section => {
                    let hint = "leave it out, or move the step".to_owned();
                    (format!("`{need}` is a step of `finally`, which runs after all others"), Some(hint))
                }
                Some(_) => continue,
            };
            reader.note(*place, format!("{}.needs: {message}", draft.field.path), hint);
        }
    }
    let order = Order::new(
        all.iter().map(|(section, draft)| (*section, &draft.step.id, draft.step.needs.as_slice())),
    );
    if let Some(circle) = order.circle() {
        let names: Vec<String> = circle.iter().map(|step| format!("`{}`", all[*step].1.step.id)).collect();
        let first = all[circle[0]].1;
        let at = first.needs.first().map_or(first.field.node.place, |(_, place)| *place);
        let message = match names.as_slice() {
            [only] => format!("{only} needs itself"),
            [start, ..] => format!("the steps wait for each other: {} → {start}", names.join(" → ")),
            [] => unreachable!("a circle has a step"),
        };
        let hint = "take one of these `needs` away".to_owned();
        reader.note(at, format!("{}.needs: {message}", first.field.path), Some(hint));
    }
    order
}

/// Worth a second look.
pub(super) fn lints(runbook: &Runbook) -> Vec<Trouble> {
    let nameless = runbook.steps.iter().filter(|step| step.summary.is_empty());
    nameless
        .map(|step| Trouble {
            line: step.line,
            column: 1,
            message: format!("the step `{}` has no `summary`", step.id),
            hint: Some("say in one sentence what it does, for whoever reads it at night".to_owned()),
        })
        .collect()
}
