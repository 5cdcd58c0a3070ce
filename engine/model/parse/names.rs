//! Whether the names an expression uses exist where it stands.

use serde_json::Value;

use super::order::Order;
use crate::expression::{RUN_FIELDS, Reference};
use crate::runbook::Parameter;
use crate::trouble::Trouble;
use crate::yaml::Place;
use words::suggestion;

/// A name used somewhere.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) place: Place,
    /// How people call the place of the expression: `steps[2].if`.
    pub(super) path: String,
    pub(super) reference: Reference,
    pub(super) sees: Sees,
}

/// What an expression can see from where it stands.
#[derive(Debug, Clone)]
pub(super) struct Sees {
    /// The top-level words.
    pub(super) words: &'static [&'static str],
    /// Which steps.
    pub(super) steps: Visible,
}

/// Which steps an expression can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Visible {
    /// None at all.
    None,
    /// Those that have surely ended before this one begins.
    Before(usize),
    /// Those, and the step itself.
    Upto(usize),
    /// Every one.
    All,
}

/// In the `with` of a schedule.
pub(super) const ON_SCHEDULE: &[&str] = &["trigger"];
/// In the `with` of an alert.
pub(super) const ON_ALERT: &[&str] = &["alert", "trigger"];
/// In grants.
pub(super) const IN_GRANTS: &[&str] = &["parameters"];
/// In a step.
pub(super) const IN_STEP: &[&str] = &["parameters", "steps", "run", "trigger", "alert"];
/// In a step with `for_each`.
pub(super) const IN_ITEM: &[&str] = &["parameters", "steps", "run", "trigger", "alert", "item"];
/// In `until`.
pub(super) const IN_UNTIL: &[&str] = &["parameters", "steps", "run", "trigger", "alert", "output"];
/// In `until` of a step with `for_each`.
pub(super) const IN_UNTIL_ITEM: &[&str] =
    &["parameters", "steps", "run", "trigger", "alert", "item", "output"];
/// In the `with` of an undo.
pub(super) const IN_UNDO: &[&str] = &["parameters", "steps", "run", "trigger", "alert", "item", "effects"];
/// In `holds`.
pub(super) const IN_HOLDS: &[&str] =
    &["parameters", "steps", "run", "trigger", "alert", "item", "effects", "output"];

/// What exists.
pub(super) struct Names<'r> {
    pub(super) parameters: &'r [Parameter],
    pub(super) order: &'r Order,
    /// By position in [`Order`]: the schema of the output, where one is known and the step is not a `for_each`.
    pub(super) outputs: Vec<Output<'r>>,
    /// The same, of one attempt: what `output` is in `until`.
    pub(super) attempts: Vec<Output<'r>>,
    /// The same, of the step's undo: what `output` is in `holds`.
    pub(super) undos: Vec<Output<'r>>,
}

/// What is known of a step's output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Output<'r> {
    /// Nothing.
    Unknown,
    /// A list, one for each item.
    List,
    /// As this JSON Schema says.
    Schema(&'r Value),
    /// A map with these members.
    Names(&'r [String]),
}

impl Names<'_> {
    /// What is wrong with one name.
    pub(super) fn check(&self, sighting: &Sighting) -> Option<Trouble> {
        let (message, hint) = self.trouble(sighting)?;
        Some(Trouble {
            line: sighting.place.line,
            column: sighting.place.column,
            message: format!("{}: {message}", sighting.path),
            hint,
        })
    }

    fn trouble(&self, sighting: &Sighting) -> Option<(String, Option<String>)> {
        let path = &sighting.reference.path;
        let word = path.first()?.as_str();
        if !sighting.sees.words.contains(&word) {
            return Some(unseen(word, &sighting.sees));
        }
        let member = path.get(1).map(String::as_str);
        match word {
            "parameters" => self.parameter(member?, sighting.reference.tested && path.len() == 2),
            "run" => known("run", member?, RUN_FIELDS),
            "steps" => self.step(member?, sighting),
            "output" => {
                let output = match sighting.sees.steps {
                    Visible::Before(step) => self.attempts.get(step),
                    Visible::Upto(step) => self.undos.get(step),
                    Visible::None | Visible::All => None,
                };
                without(output, "output", &path[1..], sighting.reference.tested)
            }
            "item" | "effects" | "alert" | "trigger" => None,
            other => unreachable!("`{other}` is not among the words of any place"),
        }
    }

    fn parameter(&self, name: &str, tested: bool) -> Option<(String, Option<String>)> {
        let names = || self.parameters.iter().map(|parameter| parameter.name.as_str());
        if tested || names().any(|known| known == name) {
            return None;
        }
        let hint =
            suggestion::hint(name, names()).or_else(|| Some("this runbook has no parameters".to_owned()));
        Some((format!("there is no parameter `{name}`"), hint))
    }

    fn step(&self, id: &str, sighting: &Sighting) -> Option<(String, Option<String>)> {
        let Some(position) = self.order.position(id) else {
            return Some((format!("there is no step `{id}`"), suggestion::hint(id, self.order.ids())));
        };
        let seen = match sighting.sees.steps {
            Visible::All => true,
            Visible::None => false,
            Visible::Before(step) => self.order.is_before(position, step),
            Visible::Upto(step) => step == position || self.order.is_before(position, step),
        };
        if !seen {
            let hint = match sighting.sees.steps {
                Visible::Before(step) | Visible::Upto(step) if self.order.is_before(step, position) => {
                    format!("`{id}` runs after this step; use it in a later one, or change their order")
                }
                Visible::Before(step) if step == position => {
                    "a step cannot use its own output; in `until` it is `output`".to_owned()
                }
                Visible::Before(_) | Visible::Upto(_) => {
                    format!("only steps that have ended before can be used; add `{id}` to `needs`")
                }
                Visible::None | Visible::All => "steps are not known here".to_owned(),
            };
            return Some((format!("the step `{id}` has not run before this one"), Some(hint)));
        }
        let rest = &sighting.reference.path[2..];
        let (field, rest) = rest.split_first()?;
        if let Some(trouble) = known(&format!("steps.{id}"), field, ["output", "status"]) {
            return Some(trouble);
        }
        match (field.as_str(), rest.split_first()) {
            ("status", Some(_)) => {
                let hint = format!("compare it: `steps.{id}.status == 'succeeded'`");
                Some((format!("`steps.{id}.status` is a text"), Some(hint)))
            }
            ("output", Some(_)) => {
                let place = format!("steps.{id}.output");
                without(self.outputs.get(position), &place, rest, sighting.reference.tested)
            }
            _ => None,
        }
    }
}

/// What an output does not have of these members.
fn without(
    output: Option<&Output<'_>>,
    place: &str,
    members: &[String],
    tested: bool,
) -> Option<(String, Option<String>)> {
    let member = members.first()?;
    match output {
        Some(Output::Schema(schema)) => missing_output(schema, place, members, tested),
        Some(Output::List) => Some((
            format!("`{place}` is a list, since the step has `for_each`"),
            Some(format!("write `{place}[0].{member}`, or `{place}.map(o, o.{member})`")),
        )),
        Some(Output::Names(names)) => {
            let names = || names.iter().map(String::as_str);
            let hint = suggestion::hint(member, names()).or_else(|| Some("it has no outputs".to_owned()));
            let known = names().any(|name| name == member);
            (!known).then(|| (format!("`{place}` has no `{member}`"), hint))
        }
        Some(Output::Unknown) | None => None,
    }
}

fn unseen(word: &str, sees: &Sees) -> (String, Option<String>) {
    let hint = match word {
        "item" => Some("`item` exists only in a step with `for_each`".to_owned()),
        "output" => Some("`output` exists only in `until`; elsewhere write `steps.ID.output`".to_owned()),
        "effects" => Some("`effects` exists only in `undo`".to_owned()),
        "alert" => Some("`alert` exists only in the steps and in the `with` of an alert".to_owned()),
        "steps" | "run" | "trigger" => {
            Some(format!("known here are {}", suggestion::list(sees.words.iter().copied())))
        }
        _ => suggestion::hint(word, sees.words.iter().copied()),
    };
    (format!("`{word}` is not known here"), hint)
}

fn known<const N: usize>(place: &str, member: &str, members: [&str; N]) -> Option<(String, Option<String>)> {
    if members.contains(&member) {
        return None;
    }
    Some((format!("`{place}` has no `{member}`"), suggestion::hint(member, members)))
}

/// The first member of a path that an output's schema does not know.
fn missing_output(
    schema: &Value,
    place: &str,
    members: &[String],
    tested: bool,
) -> Option<(String, Option<String>)> {
    let mut place = place.to_owned();
    let mut part = schema;
    for (index, member) in members.iter().enumerate() {
        part = crate::input::resolved(schema, part)?;
        let properties =
            part.get("properties").and_then(Value::as_object).filter(|known| !known.is_empty())?;
        match properties.get(member) {
            Some(inner) => part = inner,
            None if crate::input::is_open(part) || (tested && index + 1 == members.len()) => {
                return None;
            }
            None => {
                let hint = suggestion::hint(member, properties.keys().map(String::as_str));
                return Some((format!("`{place}` has no `{member}`"), hint));
            }
        }
        place = format!("{place}.{member}");
    }
    None
}
