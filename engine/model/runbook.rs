//! A runbook as the engine knows it: parsed, checked, valid by construction.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::expression::{EvaluationError, Expression, Scope};
use super::grant::Grants;
use words::ids::{Digest, ParameterName, PluginName, RunbookName, StepId};
use words::json;

/// How much harm a run may do; `high` asks for the service's name before it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Reads, or writes nobody notices.
    Low,
    /// Changes one service within a budget.
    Medium,
    /// May interrupt a service or lose something.
    High,
}

/// A runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Runbook {
    /// Its name.
    pub name: RunbookName,
    /// One sentence.
    pub summary: String,
    /// Markdown for people.
    pub about: String,
    /// See [`Risk`].
    pub risk: Risk,
    /// Who answers for it.
    pub owner: Option<String>,
    /// In the order written.
    pub parameters: Vec<Parameter>,
    /// Why runs of it are asked for.
    pub triggers: Vec<Trigger>,
    /// Of the whole run, `undo` and `finally` apart.
    pub timeout: Duration,
    /// How old an interrupted run may be to be carried on without a person.
    pub resume_within: Duration,
    /// What it may do.
    pub grants: Grants,
    /// In the order written.
    pub steps: Vec<Step>,
    /// Always run, after the steps and the undo.
    pub finally: Vec<Step>,
    /// Names and values shown at the end and given to a parent run.
    pub outputs: Vec<(String, Template)>,
    /// SHA-256 of the text.
    pub digest: Digest,
    /// The text itself.
    pub text: String,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterType {
    /// A JSON string.
    String,
    /// A JSON integer, 64 bits.
    Integer,
    /// A JSON number.
    Number,
    /// true or false
    Boolean,
    /// `6s 2m 1h30m 7d`; its value is the text.
    Duration,
    /// `64MiB 8GB`; its value is the text.
    Size,
    /// A list of strings.
    List,
    /// Names to strings.
    Map,
}

/// A parameter of a runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: ParameterName,
    /// Its type.
    pub kind: ParameterType,
    /// For people.
    pub about: String,
    /// Without one it must be given.
    pub default: Option<Value>,
    /// Anchored regular expression for strings and the elements of lists.
    pub pattern: Option<String>,
    /// Of numbers, integers, durations and sizes, in the parameter's own notation.
    pub minimum: Option<Value>,
    /// See `minimum`.
    pub maximum: Option<Value>,
    /// The only values allowed.
    pub choices: Vec<Value>,
}

/// Why a run may be asked for without a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Schedule or alert.
    pub source: TriggerSource,
    /// Parameters of the run.
    pub with: Template,
    /// The line in the runbook.
    pub line: u32,
}

/// What a trigger listens to.
#[derive(Debug, Clone, PartialEq)]
pub enum TriggerSource {
    /// A cron expression in a time zone.
    Schedule {
        /// As written.
        cron: String,
        /// IANA name; UTC if none is written.
        timezone: String,
        /// What to do about slots missed while no engine ran.
        catch_up: CatchUp,
        /// How late a slot may still start.
        start_deadline: Option<Duration>,
    },
    /// Label matchers of an alert.
    Alert {
        /// Label, and what it must be.
        labels: Vec<(String, Matcher)>,
        /// At most one run within this time, per these parameters.
        throttle: Option<(Duration, Vec<ParameterName>)>,
    },
}

/// Missed slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// Forget them.
    None,
    /// Run the last one.
    Last,
    /// Run at most so many.
    All(u32),
}

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// Exactly this.
    Equal(String),
    /// This anchored regular expression.
    Matches(String),
}

/// One unit of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique in the runbook, `finally` included.
    pub id: StepId,
    /// What it does, one sentence.
    pub summary: String,
    /// What should be seen.
    pub expect: Option<String>,
    /// What a person does when it fails.
    pub if_it_fails: Option<String>,
    /// What performs it.
    pub uses: Uses,
    /// Its input.
    pub with: Template,
    /// Skipped if this does not hold.
    pub condition: Option<Expression>,
    /// Once per item.
    pub for_each: Option<ForEach>,
    /// Repeated until this holds.
    pub until: Option<Until>,
    /// After failures.
    pub retry: Retry,
    /// Of one attempt; with `until`, of all of them.
    pub timeout: Duration,
    /// What a failure means for the run.
    pub on_failure: OnFailure,
    /// Steps that must have ended first; the predecessor if nothing is written.
    pub needs: Vec<StepId>,
    /// Its way back.
    pub undo: Option<Undo>,
    /// The line in the runbook, from 1.
    pub line: u32,
}

/// What performs a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uses {
    /// A plugin's step type.
    Plugin {
        /// The plugin.
        plugin: PluginName,
        /// The step type.
        step: String,
    },
    /// `core.sleep`: waits, input `for`.
    Sleep,
    /// `ask.person`: approve or reject, input `question`, optionally `who`, `timeout`.
    AskPerson,
    /// `manual.step`: an instruction, then "done", input `instruction`, optionally `who`, `evidence`.
    ManualStep,
    /// `runbook.NAME`: a child run, input its parameters.
    Runbook(RunbookName),
}

impl std::fmt::Display for Uses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plugin { plugin, step } => write!(f, "{plugin}.{step}"),
            Self::Sleep => f.write_str("core.sleep"),
            Self::AskPerson => f.write_str("ask.person"),
            Self::ManualStep => f.write_str("manual.step"),
            Self::Runbook(name) => write!(f, "runbook.{name}"),
        }
    }
}

/// Once per item of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// Evaluates to a list.
    pub items: Expression,
    /// How many at once.
    pub max_parallel: u32,
    /// One first, then doubling up to `max_parallel`.
    pub canary: bool,
    /// No further items after so many failures.
    pub stop_after: u32,
}

/// Waiting for a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Until {
    /// Sees `output`.
    pub condition: Expression,
    /// Between the end of one attempt and the next.
    pub every: Duration,
}

/// What to do after a failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// In all; 1 means none again.
    pub attempts: u32,
    /// Before the second.
    pub delay: Duration,
    /// The delay grows by it each time.
    pub factor: f64,
    /// It grows no further.
    pub max_delay: Duration,
}

/// What a failure means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The run ends as failed, after undo and `finally`.
    Stop,
    /// The run goes on.
    Continue,
}

/// A step's way back.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// What performs it: a plugin's step type.
    pub uses: Uses,
    /// Its input; sees `effects`, the writes the step announced.
    pub with: Template,
    /// Must be true afterwards; sees `output` of the undo.
    pub holds: Option<Expression>,
    /// The line in the runbook.
    pub line: u32,
}

/// A value with expressions in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// No expression at all.
    Value(Value),
    /// One whole `${{ }}`: keeps its type.
    Whole(Expression),
    /// Text with expressions inside.
    Text(Vec<Part>),
    /// A list.
    List(Vec<Template>),
    /// A map, in the order written.
    Map(Vec<(String, Template)>),
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// As it is.
    Literal(String),
    /// Becomes text: strings as they are, other values as JSON.
    Expression(Expression),
}

impl Template {
    /// The empty map.
    pub fn empty() -> Self {
        Self::Map(Vec::new())
    }

    /// Evaluates every expression. The whole is held to the limits on JSON: expressions may put values of others inside
    /// values of the runbook.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, EvaluationError> {
        let value = self.value(scope)?;
        json::check(&value).map_err(|excess| {
            let expression = self.expressions().first().map_or("", |first| first.text()).to_owned();
            EvaluationError { expression, message: format!("the value around it cannot be used: {excess}") }
        })?;
        Ok(value)
    }

    fn value(&self, scope: &Scope) -> Result<Value, EvaluationError> {
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Whole(expression) => expression.evaluate(scope)?,
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Literal(literal) => text.push_str(literal),
                        Part::Expression(expression) => match expression.evaluate(scope)? {
                            Value::String(s) => text.push_str(&s),
                            other => text.push_str(&other.to_string()),
                        },
                    }
                }
                Value::String(text)
            }
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.value(scope)).collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), value.value(scope)?)))
                    .collect::<Result<_, EvaluationError>>()?,
            ),
        })
    }

    /// Every expression inside.
    pub fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Value(_) => Vec::new(),
            Self::Whole(expression) => vec![expression],
            Self::Text(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Literal(_) => None,
                    Part::Expression(expression) => Some(expression),
                })
                .collect(),
            Self::List(items) => items.iter().flat_map(Self::expressions).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(_, value)| value.expressions()).collect(),
        }
    }
}
