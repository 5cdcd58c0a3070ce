//! `uses` and `with`: what performs a step, whether it exists, takes this input, and is granted what it needs.

use super::grant::{Subject, given};
use super::kinds::mismatches;
use super::reader::{Field, Fields, Reader, UNREADABLE};
use super::secrets;
use super::step::Draft;
use super::trigger::against;
use super::{Known, builtin, step_types};
use crate::grant::Grants;
use crate::input::{Problem, template_problems};
use crate::runbook::{Template, Uses};
use crate::step_type::StepType;
use crate::template::OPEN;
use crate::yaml::{Node, Place};
use words::duration::{format_duration, parse_duration};
use words::ids::{PluginName, RunbookName};
use words::suggestion;

/// What `uses` says, as far as its form goes.
pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Uses> {
    let field = fields.require(reader, "uses", "say what performs it: `uses: service.restart`")?;
    let text = reader.text(&field)?;
    let form = "write `PLUGIN.STEP`, for example `service.restart`, or `runbook.NAME`".to_owned();
    let Some((plugin, step)) = text.split_once('.') else {
        reader.wrong(&field, format!("`{}` names no step type", text.escape_debug()), Some(form));
        return None;
    };
    match (plugin, step) {
        ("core", "sleep") => return Some(Uses::Sleep),
        ("ask", "person") => return Some(Uses::AskPerson),
        ("manual", "step") => return Some(Uses::ManualStep),
        ("runbook", name) => {
            return RunbookName::new(name)
                .map(Uses::Runbook)
                .map_err(|error| reader.wrong(&field, error.to_string(), Some(form)))
                .ok();
        }
        _ => {}
    }
    match PluginName::new(plugin) {
        Ok(plugin) if !step.is_empty() => Some(Uses::Plugin { plugin, step: step.to_owned() }),
        Ok(_) => {
            reader.wrong(&field, format!("`{}` names no step type", text.escape_debug()), Some(form));
            None
        }
        Err(error) => {
            reader.wrong(&field, error.to_string(), Some(form));
            None
        }
    }
}

/// One use: of a step, or of its undo.
struct Use<'d, 'n> {
    uses: &'d Uses,
    with: &'d Template,
    field: &'d Field<'n>,
}

impl Use<'_, '_> {
    fn place(&self, key: &str) -> Place {
        self.field.node.get(key).map_or(self.field.node.place, |node| node.place)
    }

    fn note(&self, reader: &mut Reader, key: &str, message: &str, hint: Option<String>) {
        reader.note(self.place(key), format!("{}.{key}: {message}", self.field.path), hint);
    }
}

/// Checks a step and its undo against what exists and what is granted.
pub(super) fn check(reader: &mut Reader, draft: &Draft<'_>, known: &Known<'_>, grants: &Grants) {
    if draft.known {
        let used = Use { uses: &draft.step.uses, with: &draft.step.with, field: &draft.field };
        check_use(reader, &used, known, grants);
        check_sleep(reader, &used, draft);
    }
    let undo_node = draft.field.node.get("undo");
    if let (Some(undo), Some(node)) = (&draft.step.undo, undo_node) {
        let field = Field { path: format!("{}.undo", draft.field.path), key: node.place, node };
        check_use(reader, &Use { uses: &undo.uses, with: &undo.with, field: &field }, known, grants);
    }
}

fn check_use(reader: &mut Reader, used: &Use<'_, '_>, known: &Known<'_>, grants: &Grants) {
    match used.uses {
        Uses::Plugin { plugin, step } => match known.catalogue.step(plugin, step) {
            Some(step_type) => {
                input(reader, used, step_type);
                granted(reader, used, step_type, grants);
                for problem in secrets::problems(&step_type.input, used.with, grants) {
                    note_input(reader, used, problem);
                }
            }
            None => unknown(reader, used, known),
        },
        Uses::Runbook(name) => child(reader, used, name, known),
        builtin => {
            if let Some(step_type) = builtin::step_type(builtin) {
                input(reader, used, &step_type);
            }
        }
    }
}

fn unknown(reader: &mut Reader, used: &Use<'_, '_>, known: &Known<'_>) {
    let Uses::Plugin { plugin, step } = used.uses else { return };
    let name = used.uses.to_string();
    let all = step_types(known.catalogue);
    let names = || all.iter().map(|(name, _)| name.as_str());
    let siblings =
        || names().filter_map(|name| name.split_once('.')).filter(|(of, _)| *of == plugin.as_str());
    let (message, hint) = if siblings().next().is_some() {
        let near = suggestion::nearest(step, siblings().map(|(_, step)| step))
            .map(|step| format!("{plugin}.{step}"));
        let own = || siblings().map(|(of, step)| format!("{of}.{step}")).collect::<Vec<_>>();
        let near = near.or_else(|| suggestion::nearest(&name, names()).map(str::to_owned));
        let hint = near.map_or_else(
            || format!("`{plugin}` has {}", suggestion::list(own().iter().map(String::as_str))),
            |near| format!("did you mean `{near}`?"),
        );
        (format!("there is no step type `{}`", name.escape_debug()), Some(hint))
    } else {
        let plugins: Vec<&str> = known.catalogue.plugins().map(|plugin| plugin.name.as_str()).collect();
        let near = suggestion::nearest(&name, names()).map(|near| format!("did you mean `{near}`?"));
        let hint = near.or_else(|| suggestion::hint(plugin.as_str(), plugins));
        (format!("there is no plugin `{plugin}`"), hint)
    };
    used.note(reader, "uses", &message, hint);
}

fn input(reader: &mut Reader, used: &Use<'_, '_>, step_type: &StepType) {
    let mut problems = template_problems(&step_type.input, used.with);
    problems.extend(mismatches(&step_type.input, used.with, &reader.parameters));
    for problem in problems {
        note_input(reader, used, problem);
    }
}

fn note_input(reader: &mut Reader, used: &Use<'_, '_>, problem: Problem) {
    let Problem { path, by_name, message, hint } = problem;
    // Without `with` there is nothing to point at but the step itself.
    let with = used.field.node.get("with");
    let mut node = with.unwrap_or(used.field.node);
    let mut place = if with.is_some() { node.place } else { used.place("uses") };
    let mut at = format!("{}.with", used.field.path);
    for (index, name) in path.iter().enumerate() {
        let Some(member) = node.member(name) else { break };
        // A wrong name is pointed at itself and stands in the message; a wrong value is pointed at by its path.
        if by_name && index + 1 == path.len() {
            place = node.key_place(name).unwrap_or(member.place);
            break;
        }
        place = member.place;
        node = member;
        at = if name.parse::<usize>().is_ok() { format!("{at}[{name}]") } else { format!("{at}.{name}") };
    }
    reader.note(place, format!("{at}: {message}"), hint);
}

fn granted(reader: &mut Reader, used: &Use<'_, '_>, step_type: &StepType, grants: &Grants) {
    let missing = lacking(step_type, grants, Subject::default());
    if missing.is_empty() {
        return granted_for(reader, used, step_type, grants);
    }
    let message =
        format!("`{}` needs {}, which no grant gives", used.uses, suggestion::list(missing.iter().copied()));
    used.note(reader, "uses", &message, Some(way_out(&missing, grants)));
}

/// The needs that no grant gives.
fn lacking<'s>(step_type: &'s StepType, grants: &Grants, subject: Subject<'_>) -> Vec<&'s str> {
    let needs = step_type.needs.iter().map(String::as_str);
    needs.filter(|need| given(grants, need, subject) == Some(false)).collect()
}

/// The same for the one service or address that the input names.
fn granted_for(reader: &mut Reader, used: &Use<'_, '_>, step_type: &StepType, grants: &Grants) {
    let with = used.field.node.get("with");
    let named = |key: &str| {
        let text = with.and_then(|with| with.get(key)).and_then(Node::as_text);
        text.filter(|text| !text.contains(OPEN))
    };
    let select = grants.containers.first().map_or(0, |grant| grant.line);
    for (key, line) in [("service", select), ("url", grants.line_of_http())] {
        let Some(name) = named(key) else { continue };
        let service = key == "service";
        let subject = Subject { service: service.then_some(name), url: (!service).then_some(name) };
        let missing = lacking(step_type, grants, subject);
        let Some(node) = with.and_then(|with| with.get(key)).filter(|_| !missing.is_empty()) else {
            continue;
        };
        let name = name.escape_debug();
        let needs = suggestion::list(missing);
        let message = format!(
            "{}.with.{key}: `{}` needs {needs}, which no grant gives for `{name}`",
            used.field.path, used.uses
        );
        let hint = if service {
            format!(
                "the grants are for other services; mend the name, or the `select` of a grant, line {line}"
            )
        } else {
            format!("add `\"{name}\"` under `grants.http`, line {line}")
        };
        reader.note(node.place, message, Some(hint));
    }
}

/// What to write so that all of these are granted.
fn way_out(missing: &[&str], grants: &Grants) -> String {
    let actions: Vec<&str> = missing.iter().filter_map(|need| need.strip_prefix("containers.")).collect();
    let mut ways = Vec::new();
    if !actions.is_empty() {
        let both = actions.contains(&"stop") && actions.contains(&"start");
        let mut words: Vec<&str> =
            actions.into_iter().filter(|word| !both || !["stop", "start"].contains(word)).collect();
        if both && !words.contains(&"restart") {
            words.push("restart");
        }
        ways.push(match grants.containers.first() {
            Some(grant) => {
                format!(
                    "add {} under `grants.containers.actions`, line {}",
                    suggestion::list(words),
                    grant.line
                )
            }
            None => format!(
                "add `grants: {{ containers: {{ select: {{ service: … }}, actions: [{}] }} }}`",
                words.join(", ")
            ),
        });
    }
    if missing.iter().any(|need| need.starts_with("http.") && *need != "http.connect") {
        ways.push("add the address under `grants.http`, for example `http://*:8080/healthz`".to_owned());
    }
    if missing.iter().any(|need| need.starts_with("tcp.") || *need == "http.connect") {
        ways.push("add the address under `grants.http`, for example `tcp://*:5432`".to_owned());
    }
    if missing.iter().any(|need| need.starts_with("state.")) {
        ways.push("add a bucket under `grants.state`: `{ bucket: NAME, actions: [read, write] }`".to_owned());
    }
    for (need, word) in [("secrets.use", "use"), ("secrets.reveal", "reveal")] {
        if missing.contains(&need) {
            ways.push(format!(
                "name the secret under `grants.secrets`: `{{ names: [NAME], actions: [{word}] }}`"
            ));
        }
    }
    ways.join("; ")
}

fn child(reader: &mut Reader, used: &Use<'_, '_>, name: &RunbookName, known: &Known<'_>) {
    let Some(child) = known.runbooks.get(name) else {
        let names: Vec<String> = known.runbooks.keys().map(|name| format!("runbook.{name}")).collect();
        let hint = suggestion::hint(&used.uses.to_string(), names.iter().map(String::as_str));
        let hint = hint.or_else(|| Some("runbooks come from the library and from `./runbooks`".to_owned()));
        used.note(reader, "uses", &format!("there is no runbook `{name}`"), hint);
        return;
    };
    let given = if let Template::Map(entries) = used.with { entries.as_slice() } else { &[] };
    // Without `with` there is nothing to point at but what is used.
    let node = used.field.node.get("with").or_else(|| used.field.node.get("uses")).unwrap_or(used.field.node);
    let holder = Field { path: format!("{}.with", used.field.path), key: node.place, node };
    if *used.with == UNREADABLE {
        return;
    }
    against(reader, &holder, given, &child.parameters);
}

/// A sleep longer than its step may take could only ever fail.
fn check_sleep(reader: &mut Reader, used: &Use<'_, '_>, draft: &Draft<'_>) {
    let Template::Map(entries) = used.with else { return };
    let length = entries.iter().find(|(name, _)| name == "for").and_then(|(_, value)| value.literal());
    let length = length.as_ref().and_then(|length| parse_duration(length.as_str()?).ok());
    if let (Uses::Sleep, Some(length)) = (used.uses, length)
        && length >= draft.step.timeout
    {
        let message = format!(
            "it sleeps {} and may take {} at most",
            format_duration(length),
            format_duration(draft.step.timeout)
        );
        used.note(
            reader,
            "with",
            &message,
            Some("raise `timeout` of the step, or of the runbook".to_owned()),
        );
    }
}
