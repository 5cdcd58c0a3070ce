//! `has(a.b.c)`: whether there is something to look at. What a skipped step, an empty answer or a missing alert leaves is
//! null, so null has no members and is itself nothing; in CEL alone both would be surprises.

use cel::common::ast::{CallExpr, Expr, ListExpr, LiteralValue, SelectExpr};
use cel::common::types::{CelBool, CelList, CelMap, CelMapKey, CelNull, CelString, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError, IdedExpr};

/// Is given a value and the names of members to follow. Users cannot write the name.
pub(super) const HAS: &str = "@has";

/// Adds the function that [`rewritten`] calls.
pub(super) fn declare(env: &mut Env) {
    let added = env.add_overload(HAS, "has_dyn", vec![DYN_TYPE, DYN_TYPE], has);
    assert!(added.is_ok(), "`{HAS}` is declared once");
}

/// The call for `has(…)`: the whole path in one, since each part of it may be null. `inside` is applied to what the path
/// begins with.
pub(super) fn rewritten(select: SelectExpr, inside: impl FnOnce(IdedExpr) -> IdedExpr) -> Expr {
    let mut names = vec![select.field];
    let mut base = *select.operand;
    loop {
        base = match base.expr {
            Expr::Select(inner) if !inner.test => {
                names.push(inner.field);
                *inner.operand
            }
            expr => break base = IdedExpr { id: base.id, expr },
        };
    }
    names.reverse();
    let literal = |name: String| IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(name.into())) };
    let elements = names.into_iter().map(literal).collect();
    let names = IdedExpr { id: 0, expr: Expr::List(ListExpr { elements, optional_indices: Vec::new() }) };
    Expr::Call(CallExpr { func_name: HAS.to_owned(), target: None, args: vec![inside(base), names] })
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a function of CEL")]
fn has<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [base, names] = arguments.as_slice() else { return Ok(answer(false)) };
    let names = names.downcast_ref::<CelList<'v>>().into_iter().flat_map(|names| names.inner().iter());
    let names: Vec<&str> =
        names.filter_map(|name| name.downcast_ref::<CelString<'v>>()).map(CelString::inner).collect();
    let mut value: &(dyn Val + 'v) = &**base;
    for (index, name) in names.iter().enumerate() {
        if value.downcast_ref::<CelNull>().is_some() {
            return Ok(answer(false));
        }
        let Some(map) = value.downcast_ref::<CelMap<'v>>() else {
            return Err(ExecutionError::no_such_overload("_._", vec![value.get_type().name().to_owned()]));
        };
        value = match map.inner().get(&CelMapKey::from(*name)) {
            Some(inner) => &**inner,
            None if index + 1 == names.len() => return Ok(answer(false)),
            // Only the last one is asked for; a slip in the others is still a slip.
            None => return Err(ExecutionError::no_such_key(name)),
        };
    }
    Ok(answer(value.downcast_ref::<CelNull>().is_none()))
}

fn answer<'b, 'v>(truth: bool) -> CowVal<'b, 'v> {
    CowVal::owned(CelBool::from(truth))
}
