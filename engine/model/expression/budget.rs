//! Keeps an evaluation within bounds of work and memory.
//!
//! CEL has no loops but its comprehensions nest, and lists multiply, so a short expression can ask for a lifetime of work.
//! Before an expression is kept, every place where it iterates or copies is wrapped in a call that charges a budget by the
//! size of the value. Maps are iterated in the order of their keys, so that a result never depends on chance.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use cel::common::ast::{EntryExpr, Expr, operators};
use cel::common::types::{CelList, CelMap, CelMapKey, CelString, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError, IdedExpr};

use super::has;

/// Charges by the size of its argument and gives it back. Users cannot write the name.
pub(super) const CHARGE: &str = "@charge";
/// Charges, and gives the keys of a map in their order.
pub(super) const RANGE: &str = "@range";

/// Bytes of text that count as one unit of work.
const BYTES_PER_UNIT: usize = 64;

/// Why an evaluation did not come to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The budget is used up.
    Exhausted,
    /// The interpreter has a bug.
    Panicked,
}

struct Exhausted;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` with a budget of so many units.
pub(super) fn within<T>(units: u64, work: impl FnOnce() -> T) -> Result<T, Stopped> {
    LEFT.set(units);
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|payload| if payload.is::<Exhausted>() { Stopped::Exhausted } else { Stopped::Panicked })
}

fn spend(units: u64) {
    match LEFT.get().checked_sub(units) {
        Some(left) => LEFT.set(left),
        // `all` and `exists` swallow errors of single items and go on, so an error would not stop the work. Unwinding does,
        // and `resume_unwind` does so without a message on standard error.
        None => resume_unwind(Box::new(Exhausted)),
    }
}

/// Adds the two functions that [`metered`] calls.
pub(super) fn declare(env: &mut Env) {
    for (name, id, op) in [
        (CHARGE, "charge_dyn", charge as cel::common::functions::Function),
        (RANGE, "range_dyn", range as cel::common::functions::Function),
    ] {
        let added = env.add_overload(name, id, vec![DYN_TYPE], op);
        assert!(added.is_ok(), "`{name}` is declared once");
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a function of CEL")]
fn charge<'b, 'v>(mut arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let argument = arguments.remove(0);
    weigh(&*argument);
    Ok(argument)
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a function of CEL")]
fn range<'b, 'v>(mut arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let argument = arguments.remove(0);
    weigh(&*argument);
    let Some(map) = argument.downcast_ref::<CelMap<'v>>() else { return Ok(argument) };
    let mut keys: Vec<&CelMapKey<'v>> = map.inner().keys().collect();
    keys.sort();
    let keys: Vec<Box<dyn Val + 'v>> = keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

fn weigh(value: &dyn Val) {
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        spend(1);
        list.inner().iter().for_each(|item| weigh(&**item));
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        spend(1);
        for (key, value) in map.inner() {
            weigh(key.inner());
            weigh(&**value);
        }
    } else if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        spend(1 + (text.inner().len() / BYTES_PER_UNIT) as u64);
    } else {
        spend(1);
    }
}

/// The same expression, charging for what it does.
pub(super) fn metered(node: IdedExpr) -> IdedExpr {
    let expr = match node.expr {
        Expr::Call(mut call) => {
            call.target = call.target.map(|target| Box::new(charged(metered(*target))));
            // An operand that is only looked into or handed on costs nothing by itself.
            let free = [
                operators::INDEX,
                operators::CONDITIONAL,
                operators::LOGICAL_AND,
                operators::LOGICAL_OR,
                operators::NOT_STRICTLY_FALSE,
            ]
            .contains(&call.func_name.as_str());
            let wrap = |argument: IdedExpr| {
                // The accumulator of `map` and `filter` is appended to in place as long as it stands bare.
                let accumulator = matches!(&argument.expr, Expr::Ident(name) if name.starts_with('@'));
                let appended = call.func_name == operators::ADD && matches!(argument.expr, Expr::List(_));
                let argument = metered(argument);
                if free || accumulator || appended { argument } else { charged(argument) }
            };
            call.args = std::mem::take(&mut call.args).into_iter().map(wrap).collect();
            Expr::Call(call)
        }
        Expr::Comprehension(mut comprehension) => {
            let c = &mut *comprehension;
            c.iter_range = called(RANGE, metered(std::mem::take(&mut c.iter_range)));
            c.accu_init = metered(std::mem::take(&mut c.accu_init));
            c.loop_cond = metered(std::mem::take(&mut c.loop_cond));
            c.loop_step = stepped(metered(std::mem::take(&mut c.loop_step)));
            c.result = metered(std::mem::take(&mut c.result));
            Expr::Comprehension(comprehension)
        }
        Expr::List(mut list) => {
            list.elements = list.elements.into_iter().map(|element| charged(metered(element))).collect();
            Expr::List(list)
        }
        Expr::Map(mut map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    entry.key = charged(metered(std::mem::take(&mut entry.key)));
                    entry.value = charged(metered(std::mem::take(&mut entry.value)));
                }
            }
            Expr::Map(map)
        }
        Expr::Select(select) if select.test => has::rewritten(select, metered),
        Expr::Select(mut select) => {
            select.operand = Box::new(metered(*select.operand));
            Expr::Select(select)
        }
        // Message literals are refused when parsing; the rest has no parts.
        other @ (Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_)) => other,
    };
    IdedExpr { id: node.id, expr }
}

/// A loop's step that costs at least one unit each time, also where a filter lets nothing through.
fn stepped(mut step: IdedExpr) -> IdedExpr {
    if let Expr::Call(call) = &mut step.expr {
        let position = match call.func_name.as_str() {
            operators::CONDITIONAL => Some(0),
            operators::LOGICAL_AND | operators::LOGICAL_OR => Some(1),
            _ => None,
        };
        if let Some(argument) = position.and_then(|position| call.args.get_mut(position)) {
            *argument = charged(std::mem::take(argument));
        }
    }
    step
}

fn charged(argument: IdedExpr) -> IdedExpr {
    called(CHARGE, argument)
}

fn called(function: &str, argument: IdedExpr) -> IdedExpr {
    let call =
        cel::common::ast::CallExpr { func_name: function.to_owned(), target: None, args: vec![argument] };
    IdedExpr { id: 0, expr: Expr::Call(call) }
}
