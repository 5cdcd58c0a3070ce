//! What kind of value an expression comes to, as far as it can be known before anything is evaluated, and the mistakes that
//! show by then: `parameters.batch > 'a'`.
//!
//! Never guesses: where a kind is not sure, nothing is said.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};

use super::budget::{CHARGE, RANGE};
use super::has::HAS;

/// The kinds that are told apart; integers and other numbers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// true or false
    Truth,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
}

impl Kind {
    /// For sentences.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Truth => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }
}

/// The kind of a program, or the sentence that says what is wrong with it. `known` gives the kinds of names.
pub(super) fn infer(
    program: &IdedExpr,
    known: &dyn Fn(&[&str]) -> Option<Kind>,
) -> Result<Option<Kind>, String> {
    Inference { known, bound: Vec::new() }.of(program)
}

struct Inference<'e, 'k> {
    known: &'k dyn Fn(&[&str]) -> Option<Kind>,
    /// Variables of comprehensions, the innermost last.
    bound: Vec<(&'e str, Option<Kind>)>,
}

type Known = Result<Option<Kind>, String>;

impl<'e> Inference<'e, '_> {
    fn of(&mut self, node: &'e IdedExpr) -> Known {
        match &node.expr {
            Expr::Literal(literal) => Ok(literal_kind(literal)),
            Expr::Ident(_) | Expr::Select(_) => self.name(node),
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.of(element).map(drop))?;
                Ok(Some(Kind::List))
            }
            Expr::Map(_) => Ok(Some(Kind::Map)),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Unspecified | Expr::Struct(_) => Ok(None),
        }
    }

    fn name(&mut self, node: &'e IdedExpr) -> Known {
        let mut path = Vec::new();
        let mut at = node;
        loop {
            match &at.expr {
                Expr::Select(select) => {
                    path.push(select.field.as_str());
                    at = &select.operand;
                }
                Expr::Ident(name) => {
                    path.push(name);
                    path.reverse();
                    let bound = self.bound.iter().rev().find(|(bound, _)| bound == name);
                    return Ok(match bound {
                        Some((_, kind)) => kind.filter(|_| path.len() == 1),
                        None => (self.known)(&path),
                    });
                }
                _ => return self.of(at).map(|_| None),
            }
        }
    }

    fn comprehension(&mut self, c: &'e ComprehensionExpr) -> Known {
        if let Some(kind @ (Kind::Truth | Kind::Number | Kind::Text)) = self.of(&c.iter_range)? {
            return Err(format!("only a list or a map has items, and this is {}", kind.phrase()));
        }
        let start = self.of(&c.accu_init)?;
        let outer = self.bound.len();
        self.bound.push((&c.iter_var, None));
        self.bound.extend(c.iter_var2.as_deref().map(|name| (name, None)));
        self.bound.push((&c.accu_var, start));
        let inner = self.of(&c.loop_step).and_then(|_| self.of(&c.result));
        self.bound.truncate(outer);
        inner
    }

    fn call(&mut self, call: &'e CallExpr) -> Known {
        let mut kinds = Vec::new();
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            kinds.push(self.of(argument)?);
        }
        let function = call.func_name.as_str();
        match (function, kinds.as_slice()) {
            (CHARGE | RANGE, [kind]) => Ok(*kind),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                truth(*condition, "the condition before `?`")?;
                Ok(yes.filter(|_| yes == no))
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, sides) => {
                let place = format!("each side of `{}`", sign(function));
                sides.iter().try_for_each(|side| truth(*side, &place))?;
                Ok(Some(Kind::Truth))
            }
            (operators::LOGICAL_NOT, [side]) => truth(*side, "what follows `!`").map(|()| Some(Kind::Truth)),
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [a, b],
            ) => comparable(*a, *b, sign(function)),
            (operators::ADD, [a, b]) => added(*a, *b),
            (operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, sides) => {
                numbers(sides, sign(function))
            }
            (operators::NEGATE, sides) => numbers(sides, "-"),
            (operators::IN, [_, Some(kind @ (Kind::Truth | Kind::Number | Kind::Text))]) => {
                Err(format!("`in` looks into a list or a map, and this is {}", kind.phrase()))
            }
            (operators::EQUALS | operators::NOT_EQUALS | operators::IN | HAS | "bool", _) => {
                Ok(Some(Kind::Truth))
            }
            ("contains" | "startsWith" | "endsWith" | "matches", kinds) => texts(function, kinds),
            ("size", [Some(kind @ (Kind::Truth | Kind::Number))]) => {
                Err(format!("`size` is for texts, lists and maps, and this is {}", kind.phrase()))
            }
            ("size" | "int" | "uint" | "double", _) => Ok(Some(Kind::Number)),
            ("string", _) => Ok(Some(Kind::Text)),
            _ => Ok(None),
        }
    }
}

fn literal_kind(literal: &LiteralValue) -> Option<Kind> {
    match literal {
        LiteralValue::Boolean(_) => Some(Kind::Truth),
        LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => Some(Kind::Number),
        LiteralValue::String(_) => Some(Kind::Text),
        LiteralValue::Bytes(_) | LiteralValue::Null => None,
    }
}

/// `_>=_` as people write it.
fn sign(function: &str) -> &str {
    function.trim_matches('_')
}

fn truth(kind: Option<Kind>, place: &str) -> Result<(), String> {
    match kind {
        Some(Kind::Truth) | None => Ok(()),
        Some(other) => Err(format!("{place} must be true or false, and this is {}", other.phrase())),
    }
}

fn comparable(a: Option<Kind>, b: Option<Kind>, sign: &str) -> Known {
    let unordered = |kind: Option<Kind>| kind.filter(|kind| matches!(kind, Kind::List | Kind::Map));
    if let Some(kind) = unordered(a).or(unordered(b)) {
        return Err(format!("`{sign}` does not order {}", kind.phrase()));
    }
    match (a, b) {
        (Some(a), Some(b)) if a != b => {
            Err(format!("`{sign}` cannot compare {} with {}", a.phrase(), b.phrase()))
        }
        _ => Ok(Some(Kind::Truth)),
    }
}

fn added(a: Option<Kind>, b: Option<Kind>) -> Known {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Err(format!("`+` cannot join {} and {}", a.phrase(), b.phrase())),
        (Some(kind @ (Kind::Truth | Kind::Map)), _) | (_, Some(kind @ (Kind::Truth | Kind::Map))) => {
            Err(format!("`+` does not apply to {}", kind.phrase()))
        }
        // The other one is of the same kind, or the evaluation fails.
        _ => Ok(a.or(b)),
    }
}

fn numbers(sides: &[Option<Kind>], sign: &str) -> Known {
    match sides.iter().flatten().find(|kind| **kind != Kind::Number) {
        Some(other) => Err(format!("`{sign}` is for numbers, and this is {}", other.phrase())),
        None => Ok(Some(Kind::Number)),
    }
}

fn texts(function: &str, kinds: &[Option<Kind>]) -> Known {
    match kinds.iter().flatten().find(|kind| **kind != Kind::Text) {
        Some(other) => Err(format!("`{function}` is for texts, and this is {}", other.phrase())),
        None => Ok(Some(Kind::Truth)),
    }
}
