//! Which names an expression uses.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, SourceInfo, operators};

/// A name used in an expression, with the members asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `steps`, `before`, `output`, `running`
    pub path: Vec<String>,
    /// Whether the last member is only asked for by `has()`.
    pub tested: bool,
    /// Where it begins in the expression's text, in characters from 0.
    pub offset: u32,
}

/// Every name, in the order written; the variables of comprehensions are not names.
pub(super) fn collect(program: &IdedExpr, source: &SourceInfo) -> Vec<Reference> {
    let mut collector = Collector { source, bound: Vec::new(), found: Vec::new() };
    collector.walk(program);
    let mut found = collector.found;
    found.sort_by_key(|reference| reference.offset);
    found.dedup();
    found
}

struct Collector<'e> {
    source: &'e SourceInfo,
    bound: Vec<&'e str>,
    found: Vec<Reference>,
}

impl<'e> Collector<'e> {
    fn walk(&mut self, node: &'e IdedExpr) {
        if let Some(reference) = self.reference(node) {
            self.found.push(reference);
            return;
        }
        match &node.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.walk(target));
                call.args.iter().for_each(|argument| self.walk(argument));
            }
            Expr::Comprehension(comprehension) => {
                self.walk(&comprehension.iter_range);
                self.walk(&comprehension.accu_init);
                let outer = self.bound.len();
                self.bound.push(&comprehension.iter_var);
                self.bound.extend(comprehension.iter_var2.as_deref());
                self.bound.push(&comprehension.accu_var);
                self.walk(&comprehension.loop_cond);
                self.walk(&comprehension.loop_step);
                self.walk(&comprehension.result);
                self.bound.truncate(outer);
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.walk(element)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.walk(&entry.key);
                        self.walk(&entry.value);
                    }
                }
            }
            Expr::Select(select) => self.walk(&select.operand),
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => {}
        }
    }

    fn reference(&self, node: &IdedExpr) -> Option<Reference> {
        let mut members = Vec::new();
        let mut tested = false;
        let mut node = node;
        loop {
            match &node.expr {
                Expr::Select(select) => {
                    tested |= select.test;
                    members.push(select.field.clone());
                    node = &select.operand;
                }
                Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                    [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] => {
                        members.push(name.inner().to_owned());
                        node = operand;
                    }
                    _ => return None,
                },
                Expr::Ident(name) if !name.starts_with('@') && !self.bound.contains(&name.as_str()) => {
                    members.push(name.clone());
                    members.reverse();
                    let offset = self.source.offset_for(node.id).map_or(0, |(start, _)| start);
                    return Some(Reference { path: members, tested, offset });
                }
                _ => return None,
            }
        }
    }
}
