//! From text to syntax tree, with limits, and with errors in words a person can use.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SourceInfo};
use cel::parser::{ParseErrors, Parser};

use super::room::{self, MAX_DOTS, MAX_OPERATORS};
use super::{MAX_EXPRESSION_BYTES, MAX_EXPRESSION_DEPTH};
use words::suggestion;
use words::text::visible;

/// Every function an expression may call.
const FUNCTIONS: [&str; 21] = [
    "all",
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "exists",
    "existsOne",
    "exists_one",
    "filter",
    "has",
    "int",
    "map",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
    "in",
];

/// The hint where nothing better is known.
pub(super) const USUAL: &str =
    "an expression looks like `steps.before.output.running > 0 && parameters.service != ''`";
/// After so many syntax errors the rest is not looked at.
const MAX_SYNTAX_ERRORS: u32 = 4;

/// A text that is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidExpression {
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in the text, in characters from 0.
    pub offset: u32,
}

impl InvalidExpression {
    fn new(message: impl Into<String>, hint: Option<&str>, offset: u32) -> Self {
        Self { message: message.into(), hint: hint.map(str::to_owned), offset }
    }
}

pub(super) fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), InvalidExpression> {
    limits(text)?;
    room::enough_for(text, || parsed(text))
        .unwrap_or_else(|| Err(InvalidExpression::new("there is no thread to parse it in", None, 0)))
}

fn parsed(text: &str) -> Result<(IdedExpr, SourceInfo), InvalidExpression> {
    // The parser is generated code that has panicked on odd input before; such input is then simply not an expression.
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        Parser::new()
            .max_recursion_depth(u16::try_from(MAX_EXPRESSION_DEPTH).unwrap_or(u16::MAX))
            .error_recovery_limit(MAX_SYNTAX_ERRORS)
            .enable_optional_syntax(false)
            .parse_with_source_info(text)
    }));
    let (program, source) = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(errors)) => return Err(explain(text, &errors)),
        Err(_) => return Err(InvalidExpression::new("this is not an expression", None, 0)),
    };
    supported(&program, &source)?;
    Ok((program, source))
}

fn limits(text: &str) -> Result<(), InvalidExpression> {
    if text.is_empty() {
        let hint = "write for example `parameters.service` between the braces";
        return Err(InvalidExpression::new("the expression is empty", Some(hint), 0));
    }
    if text.len() > MAX_EXPRESSION_BYTES {
        let message = format!("the expression is longer than {MAX_EXPRESSION_BYTES} bytes");
        return Err(InvalidExpression::new(message, Some("split it over several steps"), 0));
    }
    let (operators, dots) = room::size(text);
    if operators > MAX_OPERATORS || dots > MAX_DOTS {
        let message = format!("the expression has more than {MAX_OPERATORS} operators or {MAX_DOTS} dots");
        return Err(InvalidExpression::new(message, Some("split it over several steps"), 0));
    }
    Ok(())
}

/// Refuses what the language offers and a runbook has no use for, and unknown functions.
fn supported(node: &IdedExpr, source: &SourceInfo) -> Result<(), InvalidExpression> {
    let at = || source.offset_for(node.id).map_or(0, |(start, _)| start);
    let deeper = |node: &IdedExpr| supported(node, source);
    match &node.expr {
        Expr::Call(call) => {
            let named = call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
            if named && !FUNCTIONS.contains(&call.func_name.as_str()) {
                return Err(InvalidExpression {
                    message: format!("there is no function `{}`", call.func_name),
                    hint: Some(instead_of(&call.func_name)),
                    offset: at(),
                });
            }
            if named && let Err((message, hint)) = called_rightly(call) {
                return Err(InvalidExpression { message, hint: Some(hint), offset: at() });
            }
            call.target.iter().try_for_each(|target| deeper(target))?;
            call.args.iter().try_for_each(deeper)
        }
        Expr::Comprehension(c) => [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result]
            .into_iter()
            .try_for_each(deeper),
        Expr::List(list) => list.elements.iter().try_for_each(deeper),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => deeper(&entry.key).and_then(|()| deeper(&entry.value)),
            EntryExpr::StructField(field) => deeper(&field.value),
        }),
        Expr::Select(select) => deeper(&select.operand),
        Expr::Ident(_) | Expr::Literal(_) => Ok(()),
        Expr::Struct(_) => Err(InvalidExpression::new(
            "an expression cannot make a typed message",
            Some("a map is written `{'name': value}`, with quotes around its names"),
            at(),
        )),
        Expr::Unspecified => Err(InvalidExpression::new("this is not an expression", None, at())),
    }
}

/// What to write instead of a function that does not exist.
fn instead_of(name: &str) -> String {
    let habit = match name {
        "len" | "length" | "count" => Some("`size(x)` tells how many there are"),
        "default" | "coalesce" | "get" => Some("write `has(x.y) ? x.y : 'another'`"),
        "str" | "toString" | "to_string" => Some("write `string(x)`"),
        "any" => Some("write `list.exists(x, CONDITION)`"),
        _ => None,
    };
    let near = || suggestion::nearest(name, FUNCTIONS).map(|near| format!("did you mean `{near}`?"));
    let all = || {
        let names = FUNCTIONS.into_iter().filter(|name| !["existsOne", "in"].contains(name));
        format!("the functions are {}", suggestion::list(names))
    };
    habit.map(str::to_owned).or_else(near).unwrap_or_else(all)
}

/// Whether a function is given as many arguments as it takes, and a pattern written out is one; else the message and the
/// hint.
fn called_rightly(call: &CallExpr) -> Result<(), (String, String)> {
    let name = call.func_name.as_str();
    let (takes, form) = match name {
        // What is left of a macro is one that was not written as it must be.
        "all" | "exists" | "existsOne" | "exists_one" | "filter" => {
            let message = format!("`{name}` takes a name and a condition");
            return Err((message, format!("write `list.{name}(x, x != '')`")));
        }
        "map" => {
            return Err((
                "`map` takes a name and a value".to_owned(),
                "write `list.map(x, x + '!')`".to_owned(),
            ));
        }
        "has" => {
            let hint = "write `has(steps.before.output.running)`".to_owned();
            return Err(("`has` takes one member of something".to_owned(), hint));
        }
        "contains" | "endsWith" | "matches" | "startsWith" => (2, format!("`text.{name}('other')`")),
        _ => (1, format!("`{name}(x)`")),
    };
    let given = call.args.len() + usize::from(call.target.is_some());
    if given != takes {
        let own = usize::from(call.target.is_some() || takes == 2);
        let (takes, given) = (takes - own.min(takes), given - own.min(given));
        return Err((
            format!("`{name}` takes {takes} arguments, not {given}").replace(" 1 arguments", " 1 argument"),
            format!("write {form}"),
        ));
    }
    if let ("matches", Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. })) =
        (name, call.args.last())
        && let Err(error) = regex::Regex::new(pattern.inner())
    {
        let said = error.to_string();
        let last = said.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        let message = format!("`{}` is not a regular expression: {last}", pattern.inner().escape_debug());
        let hint = "a character with a meaning of its own is written with `\\\\` before it".to_owned();
        return Err((message, hint));
    }
    Ok(())
}

/// One sentence from what the generated parser says.
fn explain(text: &str, errors: &ParseErrors) -> InvalidExpression {
    let Some(first) = errors.errors.first() else {
        return InvalidExpression::new("this is not an expression", None, 0);
    };
    let offset = offset_of(text, first.pos);
    let said = first.msg.trim_start_matches("Syntax error: ");
    let (message, hint): (String, Option<&str>) = match quoted(said) {
        Some("<EOF>") => ("the expression ends too early".to_owned(), open_bracket(text)),
        Some(word) => (format!("`{}` is not expected here", visible(word)), habit(text, word)),
        None if said.to_lowercase().contains("recursion limit") => {
            (format!("the expression is nested deeper than {MAX_EXPRESSION_DEPTH} levels"), None)
        }
        None => ("this is not an expression".to_owned(), None),
    };
    InvalidExpression { message, hint: Some(hint.unwrap_or(USUAL).to_owned()), offset }
}

fn offset_of(text: &str, (line, column): (isize, isize)) -> u32 {
    let lines_before = usize::try_from(line - 1).unwrap_or(0);
    let before: usize = text.split('\n').take(lines_before).map(|line| line.chars().count() + 1).sum();
    u32::try_from(before + usize::try_from(column - 1).unwrap_or(0)).unwrap_or(0)
}

/// The word the parser complains about: `mismatched input 'x' expecting …`, `token recognition error at: 'x'`.
fn quoted(said: &str) -> Option<&str> {
    let kinds = [
        "extraneous input '",
        "mismatched input '",
        "token recognition error at: '",
        "no viable alternative at input '",
        "' at '",
    ];
    let rest = kinds.iter().find_map(|kind| said.split_once(kind)).map(|(_, rest)| rest)?;
    let end = rest.find("' expecting").or_else(|| rest.rfind('\''))?;
    let word = rest[..end].trim();
    (!word.is_empty()).then_some(word)
}

/// Hints for what people write from habit.
fn habit(text: &str, word: &str) -> Option<&'static str> {
    match word {
        "=" => Some("to compare, write `==`"),
        "and" | "AND" | "&" => Some("write `&&`"),
        "or" | "OR" => Some("write `||`"),
        "not" | "NOT" => Some("write `!`"),
        "|" => Some("write `||`; there are no filters, call `size(x)`, `x.map(…)`, `string(x)`"),
        "$" | "${" | "${{" | "}}" => Some("inside an expression names stand bare, without `${{ }}`"),
        "'" | "\"" => Some("a text ends with the quote it begins with"),
        _ if text.contains(" and ") || text.contains(" or ") || text.starts_with("not ") => {
            Some("the operators are `&&`, `||` and `!`")
        }
        _ if text.starts_with("${{") => Some("inside an expression names stand bare, without `${{ }}`"),
        _ => None,
    }
}

fn open_bracket(text: &str) -> Option<&'static str> {
    let count = |c: char| text.matches(c).count();
    if count('(') > count(')') {
        Some("a `(` is not closed")
    } else if count('[') > count(']') {
        Some("a `[` is not closed")
    } else if count('{') > count('}') {
        Some("a `{` is not closed")
    } else {
        None
    }
}
