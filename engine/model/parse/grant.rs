//! `grants`: what a run may do, to what, and how much of it at once.

use serde_json::Value;

use super::kinds::parameter_of;
use super::names::{IN_GRANTS, Sees, Visible};
use super::reader::{Field, Reader};
use crate::address::{check_address, may_cover};
use crate::grant::{
    ContainerAction, ContainerGrant, GrantLines, GrantSet, Grants, Selector, StateAction, StateGrant,
    check_bucket, check_label,
};
use crate::runbook::{ParameterType, Part, Runbook, Step, Template, Uses};
use crate::secret_grant::{SecretAction, SecretGrant, check_secret_pattern};
use crate::template::OPEN;
use crate::trouble::Trouble;
use crate::yaml::{Content, Node};
use words::container_text::{check_project, check_service};
use words::suggestion;
use words::unfit::Unfit;

/// The most grants of one kind.
const MAX_GRANTS: usize = 100;
/// The largest budget.
const MAX_COUNT: u32 = 10_000;

const SELECT: &str = "select what it is for: `select: { service: shop/web }`";

fn sees() -> Sees {
    Sees { words: IN_GRANTS, steps: Visible::None }
}

pub(super) fn all(reader: &mut Reader, field: &Field<'_>) -> Grants {
    let fields = reader.fields(field, &["containers", "http", "state", "secrets"]);
    let containers = fields.get("containers").map(|field| one_or_more(reader, &field)).unwrap_or_default();
    let state = fields.get("state").map(|field| one_or_more(reader, &field)).unwrap_or_default();
    let secrets = fields.get("secrets").map(|field| one_or_more(reader, &field)).unwrap_or_default();
    let http = fields.get("http").map(|field| reader.items(&field, MAX_GRANTS)).unwrap_or_default();
    GrantSet {
        containers: containers.iter().filter_map(|field| container(reader, field)).collect(),
        http: http.iter().filter_map(|field| address(reader, field)).collect(),
        state: state.iter().filter_map(|field| bucket(reader, field)).collect(),
        secrets: secrets.iter().filter_map(|field| secret(reader, field)).collect(),
        line: field.line(),
        http_line: fields.get("http").map_or(0, |field| field.line()),
    }
}

/// A single grant may stand without a list around it.
fn one_or_more<'n>(reader: &mut Reader, field: &Field<'n>) -> Vec<Field<'n>> {
    match field.node.content {
        Content::List(_) => reader.items(field, MAX_GRANTS),
        Content::Map(_) | Content::Scalar(_) => vec![field.clone()],
    }
}

fn container(reader: &mut Reader, field: &Field<'_>) -> Option<ContainerGrant<Template, Template>> {
    let fields = reader.fields(field, &["select", "actions", "max_unavailable", "min_healthy"]);
    let select = fields.require(reader, "select", SELECT).and_then(|field| selector(reader, &field));
    let words: Vec<(&str, ContainerAction)> =
        ContainerAction::ALL.iter().map(|action| (action.word(), *action)).collect();
    let actions = fields.require(reader, "actions", "say what it may do: `actions: [read, restart]`");
    let actions = actions.map(|field| actions_of(reader, &field, &words)).unwrap_or_default();
    let max_unavailable = fields.get("max_unavailable").and_then(|field| count(reader, &field, 1));
    let min_healthy = fields.get("min_healthy").and_then(|field| count(reader, &field, 0));
    let line = field.line();
    let line_of = |key: &str| fields.get(key).map_or(0, |field| field.line());
    let lines = GrantLines {
        actions: line_of("actions"),
        max_unavailable: line_of("max_unavailable"),
        min_healthy: line_of("min_healthy"),
    };
    Some(ContainerGrant {
        select: select?,
        actions,
        max_unavailable,
        min_healthy,
        line,
        lines,
        dependent_of: None,
    })
}

fn actions_of<T: Copy + PartialEq>(reader: &mut Reader, field: &Field<'_>, words: &[(&str, T)]) -> Vec<T> {
    let items = reader.items(field, MAX_GRANTS);
    if items.is_empty() && matches!(field.node.content, Content::List(_)) {
        let hint = format!("the actions are {}", suggestion::list(words.iter().map(|(word, _)| *word)));
        reader.wrong(field, "a grant without actions grants nothing", Some(hint));
    }
    let mut actions = Vec::new();
    for item in items {
        match reader.word(&item, words) {
            Some(action) if actions.contains(&action) => {
                reader.wrong(&item, "this action is written twice", Some("once is enough".to_owned()));
            }
            Some(action) => actions.push(action),
            None => {}
        }
    }
    actions
}

fn selector(reader: &mut Reader, field: &Field<'_>) -> Option<Selector<Template>> {
    let fields = reader.fields(field, &["service", "project", "label"]);
    let given: Vec<(&str, Field<'_>)> =
        ["service", "project", "label"].into_iter().filter_map(|key| Some((key, fields.get(key)?))).collect();
    match given.as_slice() {
        [(key, only)] => {
            let template = name(reader, only)?;
            match (*key, &template) {
                ("service", _) => Some(Selector::Service(template)),
                ("project", _) => Some(Selector::Project(template)),
                (_, Template::Value(Value::String(label))) => {
                    if let Err(message) = check_label(label) {
                        reader.wrong(
                            only,
                            message,
                            Some("for example `label: com.example.team=shop`".to_owned()),
                        );
                    }
                    Some(Selector::Label(template))
                }
                _ => Some(Selector::Label(template)),
            }
        }
        [] => {
            if matches!(&field.node.content, Content::Map(entries) if entries.is_empty()) {
                reader.wrong(field, "an empty selector is never “everything”", Some(SELECT.to_owned()));
            }
            None
        }
        _ => {
            let hint = "write a list of grants, one for each".to_owned();
            reader.wrong(field, "a selector has one of `service`, `project` and `label`", Some(hint));
            None
        }
    }
}

/// Refuses a text that cannot name what it is to name.
type Check = fn(&str) -> Result<(), Unfit>;

/// Names that no service and no project can have. Told apart from reading: a run that was accepted with one goes on.
pub(super) fn check_names(reader: &mut Reader, grants: &Field<'_>) {
    let Some(containers) = grants.node.get("containers") else { return };
    let all: Vec<(String, &Node)> = match &containers.content {
        Content::List(items) => items
            .iter()
            .enumerate()
            .map(|(index, node)| (format!("{}.containers[{index}]", grants.path), node))
            .collect(),
        Content::Map(_) | Content::Scalar(_) => vec![(format!("{}.containers", grants.path), containers)],
    };
    let checks: [(&str, Check); 2] = [("service", check_service), ("project", check_project)];
    for (path, node) in all {
        for (key, check) in checks {
            let named = node.get("select").and_then(|select| select.get(key));
            let Some((named, text)) = named.and_then(|named| Some((named, named.as_text()?))) else {
                continue;
            };
            // What stands for everything, or for nothing, is told where it is read.
            if text.contains(OPEN) || text.contains('*') || text.trim().is_empty() {
                continue;
            }
            if let Err(Unfit { message, hint }) = check(text) {
                reader.note(named.place, format!("{path}.select.{key}: {message}"), hint);
            }
        }
    }
}

/// A template that is a text and says something.
fn name(reader: &mut Reader, field: &Field<'_>) -> Option<Template> {
    let template = reader.template(field, &sees())?;
    match &template {
        Template::Value(Value::String(text)) if ["*", ".*", "**", "all"].contains(&text.trim()) => {
            reader.wrong(
                field,
                format!("`{text}` would select everything"),
                Some("name what it is for".to_owned()),
            );
            None
        }
        Template::Value(Value::String(text)) if text.trim().is_empty() => {
            reader.wrong(
                field,
                "an empty selector is never “everything”",
                Some("name what it is for".to_owned()),
            );
            None
        }
        Template::Whole(_) | Template::Text(_) | Template::Value(Value::String(_)) => Some(template),
        Template::Value(_) | Template::List(_) | Template::Map(_) => {
            reader.text(field);
            None
        }
    }
}

fn count(reader: &mut Reader, field: &Field<'_>, least: u32) -> Option<Template> {
    match reader.template(field, &sees())? {
        Template::Whole(expression) => {
            let parameter =
                parameter_of(&expression, &reader.parameters).filter(|p| p.kind != ParameterType::Integer);
            if let Some((name, kind)) =
                parameter.map(|parameter| (parameter.name.clone(), parameter.kind.word()))
            {
                let message = format!("`parameters.{name}` is of type `{kind}`, and this must be an integer");
                reader.wrong(field, message, Some("make the parameter `type: integer`".to_owned()));
            }
            Some(Template::Whole(expression))
        }
        Template::Value(value @ Value::Number(_)) => {
            reader.integer(field, least, MAX_COUNT).map(|_| Template::Value(value))
        }
        Template::Value(Value::String(text)) if text.ends_with('%') => {
            reader.wrong(
                field,
                "a budget is a number of replicas, not a share",
                Some("write `1` or `${{ parameters.batch }}`".to_owned()),
            );
            None
        }
        _ => {
            reader.integer(field, least, MAX_COUNT);
            None
        }
    }
}

fn address(reader: &mut Reader, field: &Field<'_>) -> Option<Template> {
    let template = reader.template(field, &sees())?;
    match &template {
        Template::Value(Value::String(text)) => {
            if let Err(message) = check_address(text) {
                reader.wrong(field, message, Some("for example `http://*:8080/healthz`".to_owned()));
            }
            Some(template)
        }
        Template::Whole(_) | Template::Text(_) => Some(template),
        Template::Value(_) | Template::List(_) | Template::Map(_) => {
            reader.text(field);
            None
        }
    }
}

fn bucket(reader: &mut Reader, field: &Field<'_>) -> Option<StateGrant<Template>> {
    let fields = reader.fields(field, &["bucket", "actions"]);
    let bucket = fields.require(reader, "bucket", "name the bucket: `bucket: deploys`");
    let bucket = bucket.and_then(|field| {
        let name = name(reader, &field)?;
        if let Template::Value(Value::String(text)) = &name
            && let Err(message) = check_bucket(text)
        {
            reader.wrong(&field, message, Some("for example `bucket: deploys`".to_owned()));
        }
        Some(name)
    });
    let words = [("read", StateAction::Read), ("write", StateAction::Write)];
    let actions = fields.require(reader, "actions", "say what it may do: `actions: [read, write]`");
    let actions = actions.map(|field| actions_of(reader, &field, &words)).unwrap_or_default();
    Some(StateGrant { bucket: bucket?, actions, line: field.line() })
}

fn secret(reader: &mut Reader, field: &Field<'_>) -> Option<SecretGrant<Template>> {
    let fields = reader.fields(field, &["names", "actions"]);
    let names = fields.require(reader, "names", "name the secrets: `names: [api/token]`")?;
    let items = one_or_more(reader, &names);
    let mut all: Vec<Template> = Vec::new();
    for item in &items {
        let Some(name) = name(reader, item) else { continue };
        if let Template::Value(Value::String(text)) = &name
            && let Err(message) = check_secret_pattern(text)
        {
            reader.wrong(item, message, Some("for example `names: [api/token, db/*]`".to_owned()));
        }
        all.push(name);
    }
    if items.is_empty() && matches!(names.node.content, Content::List(_)) {
        let hint = "for example `names: [api/token, db/*]`".to_owned();
        reader.wrong(&names, "a grant without names grants nothing", Some(hint));
    }
    let words = SecretAction::ALL.map(|action| (action.word(), action));
    let actions = fields.require(reader, "actions", "say what it may do: `actions: [use]`");
    let actions = actions.map(|field| actions_of(reader, &field, &words)).unwrap_or_default();
    Some(SecretGrant { names: all, actions, line: field.line() })
}

/// What a step is for, where its input says so without an expression.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Subject<'s> {
    /// A service.
    pub(super) service: Option<&'s str>,
    /// An address over HTTP.
    pub(super) url: Option<&'s str>,
}

/// Whether some grant gives what a step type needs, for example `containers.stop`; `None` if nothing grants such a thing
/// because it needs no grant.
pub(super) fn given(grants: &Grants, need: &str, subject: Subject<'_>) -> Option<bool> {
    let (domain, action) = need.split_once('.')?;
    let addressed = |pattern: &Template| match (literal(pattern), subject.url) {
        (Some(pattern), Some(url)) => may_cover(pattern, url),
        _ => true,
    };
    let of_service = |grant: &&ContainerGrant<Template, Template>| {
        subject.service.is_none_or(|service| may_select(&grant.select, service))
    };
    let http = || grants.http.iter().filter(|pattern| begins(pattern, &["http://", "https://"]));
    match domain {
        "containers" => {
            Some(grants.containers.iter().filter(of_service).any(|grant| covers(&grant.actions, action)))
        }
        "http" if action == "connect" => Some(grants.http.iter().any(|pattern| begins(pattern, &["tcp://"]))),
        "http" => Some(http().any(addressed)),
        "tcp" => Some(grants.http.iter().any(|pattern| begins(pattern, &["tcp://"]))),
        "secrets" => {
            let need = SecretAction::ALL.into_iter().find(|known| known.word() == action)?;
            Some(grants.secrets.iter().any(|grant| grant.gives(need)))
        }
        "state" if action == "read" => Some(!grants.state.is_empty()),
        "state" => Some(grants.state.iter().any(|grant| grant.actions.contains(&StateAction::Write))),
        _ => None,
    }
}

/// Whether a selector might mean this service; false only where it surely does not. A name without a project may be that
/// of a container, or of a service in any project.
fn may_select(select: &Selector<Template>, service: &str) -> bool {
    match select {
        Selector::Service(name) => {
            literal(name).is_none_or(|name| name == service || !name.contains('/') || !service.contains('/'))
        }
        Selector::Project(project) => match (literal(project), service.split_once('/')) {
            (Some(project), Some((owner, _))) => project == owner,
            _ => true,
        },
        Selector::Label(_) => true,
    }
}

pub(super) fn literal(template: &Template) -> Option<&str> {
    match template {
        Template::Value(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Steps that name a service which no grant names, though a container may be called so.
pub(super) fn lints(runbook: &Runbook) -> Vec<Trouble> {
    let granted: Option<Vec<&str>> = runbook
        .grants
        .containers
        .iter()
        .map(|grant| match &grant.select {
            Selector::Service(name) => literal(name),
            Selector::Project(_) | Selector::Label(_) => None,
        })
        .collect();
    let Some(granted) = granted.filter(|granted| !granted.is_empty()) else { return Vec::new() };
    let alone = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let named = |service: &str| {
        let service = alone(service);
        granted.iter().map(|name| alone(name)).any(|name| name.contains(&service) || service.contains(&name))
    };
    let lint = |step: &Step| {
        let Template::Map(entries) = &step.with else { return None };
        let service =
            entries.iter().find(|(name, _)| name == "service").and_then(|(_, value)| literal(value))?;
        (matches!(step.uses, Uses::Plugin { .. }) && !named(service)).then(|| Trouble {
            line: step.line,
            column: 1,
            message: format!(
                "the step `{}` is for `{}`, which no grant names",
                step.id,
                service.escape_debug()
            ),
            hint: Some("unless it is the name of a granted container, the step will be denied".to_owned()),
        })
    };
    runbook.steps.iter().chain(&runbook.finally).filter_map(lint).collect()
}

fn covers(granted: &[ContainerAction], need: &str) -> bool {
    let some = |need| granted.iter().any(|action| action.covers(need));
    match ContainerAction::ALL.into_iter().find(|action| action.word() == need) {
        Some(ContainerAction::Restart) => {
            some(ContainerAction::Restart) || (some(ContainerAction::Stop) && some(ContainerAction::Start))
        }
        Some(need) => some(need),
        // Finer words of plugins (`inspect`, `logs`) are kinds of reading.
        None => some(ContainerAction::Read),
    }
}

/// Whether an address begins so, or may do so once its expressions are known.
fn begins(pattern: &Template, schemes: &[&str]) -> bool {
    let literal = match pattern {
        Template::Value(Value::String(text)) => text,
        Template::Text(parts) => match parts.first() {
            Some(Part::Literal(text)) => text,
            _ => return true,
        },
        _ => return true,
    };
    schemes.iter().any(|scheme| literal.starts_with(scheme))
}
