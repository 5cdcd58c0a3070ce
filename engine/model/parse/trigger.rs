//! `triggers`: why runs are asked for without a person. They are checked here; something else listens.

use super::names::{ON_ALERT, ON_SCHEDULE, Sees, Visible};
use super::reader::{Field, Fields, Reader};
use crate::parameters::{anchored, check, missing, unknown};
use crate::runbook::{CatchUp, Matcher, Parameter, Runbook, Template, Trigger, TriggerSource};
use crate::schedule_text::{Part, Schedule};
use crate::trouble::Trouble;
use crate::yaml::Content;
use words::ids::ParameterName;
use words::suggestion;

/// The most triggers of a runbook.
const MAX_TRIGGERS: usize = 50;
/// The most missed slots that `catch_up: all(N)` may ask for.
const MAX_CATCH_UP: u32 = 100;

const SCHEDULE_KEYS: [&str; 5] = ["schedule", "timezone", "with", "catch_up", "start_deadline"];
const ALERT_KEYS: [&str; 3] = ["alert", "with", "throttle"];

pub(super) fn all(reader: &mut Reader, field: &Field<'_>, parameters: &[Parameter]) -> Vec<Trigger> {
    let items = reader.items(field, MAX_TRIGGERS);
    items.iter().filter_map(|item| trigger(reader, item, parameters)).collect()
}

fn trigger(reader: &mut Reader, field: &Field<'_>, parameters: &[Parameter]) -> Option<Trigger> {
    let has = |key| field.node.get(key).is_some();
    let line = field.line();
    match (has("schedule"), has("alert")) {
        (true, false) => {
            let fields = reader.fields(field, &SCHEDULE_KEYS);
            let source = schedule(reader, &fields);
            let with = with(reader, field, &fields, ON_SCHEDULE, parameters);
            Some(Trigger { source: source?, with, line })
        }
        (false, true) => {
            let fields = reader.fields(field, &ALERT_KEYS);
            let source = alert(reader, &fields, parameters);
            let with = with(reader, field, &fields, ON_ALERT, parameters);
            Some(Trigger { source: source?, with, line })
        }
        (true, true) => {
            let hint = "write two triggers, each beginning with `- `".to_owned();
            reader.wrong(field, "a trigger has either `schedule` or `alert`", Some(hint));
            None
        }
        (false, false) => {
            let all: Vec<&str> = SCHEDULE_KEYS.into_iter().chain(ALERT_KEYS).collect();
            reader.fields(field, &all);
            if matches!(field.node.content, Content::Map(_)) {
                let hint = "for example `schedule: \"30 2 * * sun\"` or `alert: { alertname: ServiceDown }`"
                    .to_owned();
                reader.wrong(field, "a trigger needs `schedule` or `alert`", Some(hint));
            }
            None
        }
    }
}

fn schedule(reader: &mut Reader, fields: &Fields<'_>) -> Option<TriggerSource> {
    let field = fields.get("schedule")?;
    let zone = fields.get("timezone");
    let timezone = zone.as_ref().and_then(|zone| reader.text(zone)).unwrap_or("UTC").to_owned();
    let cron = reader.text(&field).map(str::to_owned);
    if let Some(Err(error)) = cron.as_ref().map(|cron| Schedule::parse(cron, &timezone)) {
        let in_zone = error.part == Part::Zone;
        let again = cron.as_ref().filter(|_| in_zone).and_then(|cron| Schedule::parse(cron, "UTC").err());
        let place = if in_zone { zone.as_ref().unwrap_or(&field) } else { &field };
        reader.wrong(place, &error.message, error.hint);
        if let Some(error) = again {
            reader.wrong(&field, &error.message, error.hint);
        }
    }
    let catch_up = fields.get("catch_up").and_then(|field| catch_up(reader, &field)).unwrap_or(CatchUp::None);
    let start_deadline = fields.get("start_deadline").and_then(|field| reader.some_duration(&field));
    Some(TriggerSource::Schedule { cron: cron?, timezone, catch_up, start_deadline })
}

fn catch_up(reader: &mut Reader, field: &Field<'_>) -> Option<CatchUp> {
    let text = field.raw().unwrap_or_default();
    let count = text.strip_prefix("all(").and_then(|rest| rest.strip_suffix(')'));
    match (text, count.map(|count| count.trim().parse::<u32>())) {
        (_, Some(Ok(count))) if (1..=MAX_CATCH_UP).contains(&count) => Some(CatchUp::All(count)),
        (_, Some(_)) => {
            let hint = "write for example `all(5)`".to_owned();
            reader.wrong(field, format!("`all` takes a number from 1 to {MAX_CATCH_UP}"), Some(hint));
            None
        }
        ("all", None) => {
            reader.wrong(field, "`all` needs a limit", Some("write for example `all(5)`".to_owned()));
            None
        }
        _ => {
            reader.word(field, &[("none", CatchUp::None), ("last", CatchUp::Last), ("all(N)", CatchUp::None)])
        }
    }
}

fn alert(reader: &mut Reader, fields: &Fields<'_>, parameters: &[Parameter]) -> Option<TriggerSource> {
    let field = fields.get("alert")?;
    let entries = reader.entries(&field);
    if entries.is_empty() && matches!(field.node.content, Content::Map(_)) {
        let hint = "name at least one label: `alert: { alertname: ServiceDown }`".to_owned();
        reader.wrong(&field, "without labels every alert would match", Some(hint));
    }
    let mut labels = Vec::new();
    for (label, field) in entries {
        if !is_label(label) {
            let message = format!("`{}` is not the name of a label", label.escape_debug());
            let hint = "letters, digits and underscores, not beginning with a digit".to_owned();
            reader.note(field.key, format!("{}: {message}", field.path), Some(hint));
        }
        labels.extend(matcher(reader, &field).map(|matcher| (label.to_owned(), matcher)));
    }
    let throttle = fields.get("throttle").and_then(|field| throttle(reader, &field, parameters));
    Some(TriggerSource::Alert { labels, throttle })
}

fn is_label(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn matcher(reader: &mut Reader, field: &Field<'_>) -> Option<Matcher> {
    if !matches!(field.node.content, Content::Map(_)) {
        return reader.text(field).map(|text| Matcher::Equal(text.to_owned()));
    }
    let fields = reader.fields(field, &["matches"]);
    let field = fields.require(reader, "matches", "write `{ matches: \"REGEX\" }`")?;
    let text = reader.text(&field)?;
    match anchored(text) {
        Ok(regex) if regex.is_match("") => {
            let hint = "it also matches an alert without the label; write `.+` instead of `.*`".to_owned();
            reader.wrong(&field, format!("`{text}` matches the empty text"), Some(hint));
            None
        }
        Ok(_) => Some(Matcher::Matches(text.to_owned())),
        Err(error) => {
            let reason = super::parameter::reason(&error);
            let hint = "a character with a meaning of its own is written with `\\` before it".to_owned();
            reader.wrong(&field, format!("`{text}` is not a regular expression: {reason}"), Some(hint));
            None
        }
    }
}

fn throttle(
    reader: &mut Reader,
    field: &Field<'_>,
    parameters: &[Parameter],
) -> Option<(std::time::Duration, Vec<ParameterName>)> {
    let fields = reader.fields(field, &["once_within", "per"]);
    let within = fields.require(reader, "once_within", "write for example `once_within: 10m`");
    let within = within.and_then(|field| reader.some_duration(&field));
    let per = fields.get("per").map(|field| reader.items(&field, MAX_TRIGGERS)).unwrap_or_default();
    let mut names = Vec::new();
    for item in per {
        let Some(name) = reader.text(&item) else { continue };
        if let Some(parameter) = parameters.iter().find(|parameter| parameter.name.as_str() == name) {
            names.push(parameter.name.clone());
        } else {
            let known = parameters.iter().map(|parameter| parameter.name.as_str());
            let hint =
                suggestion::hint(name, known).unwrap_or_else(|| "this runbook has no parameters".to_owned());
            reader.wrong(&item, format!("there is no parameter `{}`", name.escape_debug()), Some(hint));
        }
    }
    Some((within?, names))
}

/// The `with` of a trigger, checked against the parameters of the runbook itself.
fn with(
    reader: &mut Reader,
    trigger: &Field<'_>,
    fields: &Fields<'_>,
    words: &'static [&'static str],
    parameters: &[Parameter],
) -> Template {
    let field = fields.get("with");
    let template = field.as_ref().and_then(|field| {
        reader.entries(field);
        reader.template(field, &Sees { words, steps: Visible::None })
    });
    let holder = field.as_ref().unwrap_or(trigger);
    match &template {
        Some(Template::Map(given)) => against(reader, holder, given, parameters),
        None => against(reader, holder, &[], parameters),
        Some(_) => {}
    }
    template.unwrap_or_else(Template::empty)
}

/// Unknown and missing parameters, and literal values that a parameter does not allow.
pub(super) fn against(
    reader: &mut Reader,
    holder: &Field<'_>,
    given: &[(String, Template)],
    parameters: &[Parameter],
) {
    let place = |name: &str| match &holder.node.content {
        Content::Map(entries) => {
            entries.iter().find(|entry| entry.key == name).map(|entry| (entry.key_place, entry.value.place))
        }
        _ => None,
    };
    for error in unknown(parameters, given.iter().map(|(name, _)| name.as_str())) {
        let at = place(&error.name).map_or(holder.node.place, |(key, _)| key);
        reader.note(at, format!("{}: {}", holder.path, error.message), error.hint);
    }
    for parameter in parameters {
        let name = parameter.name.as_str();
        match given.iter().find(|(given, _)| given == name).map(|(_, value)| value.literal()) {
            Some(Some(value)) => {
                if let Err(error) = check(parameter, &value) {
                    let at = place(name).map_or(holder.node.place, |(_, value)| value);
                    reader.note(at, format!("{}.{name}: {}", holder.path, error.message), error.hint);
                }
            }
            None if parameter.default.is_none() => {
                let hint = Some(format!("give it under `with`{}", about(parameter)));
                reader.note(
                    holder.node.place,
                    format!("{}: {}", holder.path, missing(parameter).message),
                    hint,
                );
            }
            None | Some(None) => {}
        }
    }
}

fn about(parameter: &Parameter) -> String {
    if parameter.about.is_empty() { String::new() } else { format!(": {}", parameter.about) }
}

/// Worth a second look.
pub(super) fn lints(runbook: &Runbook) -> Vec<Trouble> {
    runbook
        .triggers
        .iter()
        .filter_map(|trigger| {
            let TriggerSource::Schedule { cron, timezone, .. } = &trigger.source else { return None };
            let (message, hint) = Schedule::parse(cron, timezone).ok()?.lint()?;
            Some(Trouble { line: trigger.line, column: 1, message, hint: Some(hint) })
        })
        .collect()
}
