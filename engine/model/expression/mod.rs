//! The one expression language, CEL: bare in `if`, `until` and `for_each`, inside `${{ }}` elsewhere.
//! Pure and bounded; the result is a value and is never parsed again.
//!
//! Responsible for parsing, for saying which names an expression uses, and for evaluating within limits. Knows nothing of
//! runbooks: which names are allowed where is decided by the parser of runbooks.

mod budget;
mod convert;
mod has;
mod kinds;
mod reason;
mod references;
mod room;
mod syntax;

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, IdedExpr};
use serde_json::{Map, Value};

use super::unknown::{UNKNOWN, holds_unknown, leads_to_unknown, prune, unknown};
use words::json;

pub use kinds::Kind;
pub use references::Reference;
pub use syntax::InvalidExpression;

/// The longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 2048;
/// The deepest nesting of an expression.
pub const MAX_EXPRESSION_DEPTH: usize = 64;
/// How much one evaluation may do: about one unit for every value visited or copied, one more for every 64 bytes of text.
pub const MAX_EXPRESSION_WORK: u64 = 400_000;
/// The largest result of an expression, in bytes of JSON (roughly).
pub const MAX_RESULT_BYTES: usize = 1024 * 1024;

/// What `run` holds in expressions.
pub const RUN_FIELDS: [&str; 5] = ["id", "name", "reason", "status", "target"];

/// The names an expression can see, by their top-level word (`parameters`, `steps`, `run`, `trigger`, `alert`, `item`, `output`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// The names.
    pub names: Map<String, Value>,
    /// Whether a plan asks: what cannot be known before the run may be among the names, and stays unknown.
    pub supposing: bool,
}

impl Scope {
    /// These names, all of them known.
    pub fn of(names: Map<String, Value>) -> Self {
        Self { names, supposing: false }
    }
}

/// An expression that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot evaluate `{expression}`: {message}")]
pub struct EvaluationError {
    /// The expression's text.
    pub expression: String,
    /// What went wrong.
    pub message: String,
}

/// A parsed expression.
#[derive(Clone)]
pub struct Expression {
    text: String,
    /// The line in the runbook, from 1.
    pub line: u32,
    program: Program,
    references: Arc<[Reference]>,
}

#[derive(Clone)]
enum Program {
    /// To be evaluated.
    Cel(Arc<IdedExpr>),
    /// Written out as it is.
    Literal(Arc<Value>),
}

/// The standard library of CEL without its optional values, plus what keeps an evaluation within its budget.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    budget::declare(&mut env);
    has::declare(&mut env);
    Arc::new(env)
});

impl Expression {
    /// Parses; the error is one sentence and a place in the text.
    pub fn parse(text: &str, line: u32) -> Result<Self, InvalidExpression> {
        let text = text.trim();
        let (program, source) = syntax::parse(text)?;
        let references = references::collect(&program, &source);
        Ok(Self {
            text: text.to_owned(),
            line,
            program: Program::Cel(Arc::new(budget::metered(program))),
            references: references.into(),
        })
    }

    /// A value that stands for itself; nothing is parsed, so that the limits of expressions do not apply.
    pub fn literal(value: Value, line: u32) -> Self {
        let text = value.to_string();
        Self { text, line, program: Program::Literal(Arc::new(value)), references: Arc::from([]) }
    }

    /// The kind of its value as far as it is known before it is evaluated, or one sentence about what cannot work. `known`
    /// gives the kinds of names.
    pub fn kind(&self, known: &dyn Fn(&[&str]) -> Option<Kind>) -> Result<Option<Kind>, String> {
        match &self.program {
            Program::Cel(program) => kinds::infer(program, known),
            Program::Literal(value) => Ok(value.is_array().then_some(Kind::List)),
        }
    }

    /// The text as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every name it uses, with the members asked of it: `steps.before.output.running`.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The name it consists of, if it is nothing else: `parameters.service`.
    pub fn as_reference(&self) -> Option<&Reference> {
        match &*self.references {
            [only] if only.path.join(".") == self.text => Some(only),
            _ => None,
        }
    }

    /// Evaluates over the names in scope. In a plan, what rests on something unknown is unknown.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, EvaluationError> {
        let failed = |message| EvaluationError { expression: self.text.clone(), message };
        if scope.supposing {
            let resting = self.resting_on_unknown(scope);
            if !resting.is_empty() {
                return Ok(self.without(&resting, scope).unwrap_or_else(unknown));
            }
        }
        let value = self.evaluate_within(scope, MAX_EXPRESSION_WORK).map_err(failed)?;
        json::check(&value).map_err(|excess| failed(format!("its result cannot be used: {excess}")))?;
        Ok(value)
    }

    /// The references whose values cannot be known, or not wholly.
    fn resting_on_unknown(&self, scope: &Scope) -> Vec<&Reference> {
        let unknown = |reference: &&Reference| {
            let Some((name, members)) = reference.path.split_first() else { return false };
            scope.names.get(name).is_some_and(|value| leads_to_unknown(value, members))
        };
        self.references.iter().filter(unknown).collect()
    }

    /// The value, if it is the same whatever the unknown turns out to be: nothing asks for it, as in `true || unknown`.
    fn without(&self, resting: &[&Reference], scope: &Scope) -> Option<Value> {
        if resting.iter().any(|reference| reference.tested || reference.path.len() < 2) {
            return None;
        }
        let mut names = scope.names.clone();
        for reference in resting {
            let (name, members) = reference.path.split_first()?;
            prune(names.get_mut(name)?, members);
        }
        self.evaluate_within(&Scope::of(names), MAX_EXPRESSION_WORK).ok()
    }

    /// Whether its value cannot be known before the run.
    pub fn is_unknown(&self, scope: &Scope) -> bool {
        scope.supposing && self.evaluate(scope).is_ok_and(|value| holds_unknown(&value))
    }

    /// Evaluates to a boolean; another type is an error. A plan supposes that what it cannot know holds.
    pub fn holds(&self, scope: &Scope) -> Result<bool, EvaluationError> {
        let value = self.evaluate(scope)?;
        if scope.supposing && holds_unknown(&value) {
            return Ok(true);
        }
        value.as_bool().ok_or_else(|| EvaluationError {
            expression: self.text.clone(),
            message: format!("it must be true or false, but it is {}", convert::describe(&value)),
        })
    }

    /// Evaluates to a list; another type is an error. A plan supposes no items where it cannot know them.
    pub fn items(&self, scope: &Scope) -> Result<Vec<Value>, EvaluationError> {
        match self.evaluate(scope)? {
            Value::Array(items) => Ok(items),
            Value::String(text) if scope.supposing && text.contains(UNKNOWN) => Ok(Vec::new()),
            other => Err(EvaluationError {
                expression: self.text.clone(),
                message: format!("it must be a list, but it is {}", convert::describe(&other)),
            }),
        }
    }

    fn evaluate_within(&self, scope: &Scope, work: u64) -> Result<Value, String> {
        let program = match &self.program {
            Program::Cel(program) => program,
            Program::Literal(value) => return Ok(Value::clone(value)),
        };
        room::enough_for(&self.text, || self.evaluate_here(program, scope, work))
            .unwrap_or_else(|| Err("there is no thread to evaluate it in".to_owned()))
    }

    fn evaluate_here(&self, program: &IdedExpr, scope: &Scope, work: u64) -> Result<Value, String> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, value) in &scope.names {
            let used: Vec<&Reference> =
                self.references.iter().filter(|r| r.path.first() == Some(name)).collect();
            if !used.is_empty() {
                context.add_variable_as_val(name.clone(), convert::narrowed(value, &used));
            }
        }
        let outcome = budget::within(work, || {
            cel::Value::resolve_val(program, &context)
                .map_err(|error| reason::sentence(&error, &self.references, scope))
                .and_then(|value| convert::to_json(&*value))
        });
        match outcome {
            Ok(result) => result,
            Err(budget::Stopped::Exhausted) => {
                Err("it does too much work; use smaller lists or a simpler expression".to_owned())
            }
            Err(budget::Stopped::Panicked) => Err("it cannot be evaluated".to_owned()),
        }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.line == other.line
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

#[cfg(test)]
mod tests;
