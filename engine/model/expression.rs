//! The one expression language, CEL: bare in `if`, `until` and `for_each`, inside `${{ }}` elsewhere.
//! Pure and bounded; the result is a value and is never parsed again.

use std::sync::Arc;

use serde_json::{Map, Value};

/// The names an expression can see, by their top-level word (`parameters`, `steps`, `run`, `trigger`, `alert`, `item`, `output`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope(pub Map<String, Value>);

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
    #[expect(dead_code, reason = "skeleton")]
    program: Arc<cel::Program>,
}

impl Expression {
    /// Parses; the error is one sentence.
    pub fn parse(_text: &str, _line: u32) -> Result<Self, String> {
        Err("skeleton".to_owned())
    }

    /// The text as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates over the names in scope.
    pub fn evaluate(&self, _scope: &Scope) -> Result<Value, EvaluationError> {
        Err(EvaluationError { expression: self.text.clone(), message: "skeleton".to_owned() })
    }

    /// Evaluates to a boolean; another type is an error.
    pub fn holds(&self, scope: &Scope) -> Result<bool, EvaluationError> {
        self.evaluate(scope)?.as_bool().ok_or_else(|| EvaluationError {
            expression: self.text.clone(),
            message: "not a boolean".to_owned(),
        })
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
