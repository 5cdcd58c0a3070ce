//! Named places at which a test may kill, hold or fail the engine. Compiled only with the feature `fault`.
//!
//! `RUNBOOK_FAULT` holds orders `NAME:COUNT:ACTION`, separated by commas; the action happens when the named place is
//! passed for the COUNT-th time. `kill` ends the process as `kill -9` does, `hold` stops this thread for ever, `error` lets
//! the caller fail, now and every time after.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::process::{Signal, getpid, kill_process};

/// The variable that holds the orders.
const VARIABLE: &str = "RUNBOOK_FAULT";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    Hold,
    Error,
}

#[derive(Debug)]
struct Order {
    name: String,
    count: u32,
    action: Action,
    passed: AtomicU32,
}

/// Passes a place. True if the caller is to fail here as if the system had.
pub fn point(name: &str) -> bool {
    let mut fail = false;
    for order in orders().iter().filter(|order| order.name == name) {
        let passed = order.passed.fetch_add(1, Ordering::SeqCst) + 1;
        match order.action {
            Action::Error => fail |= passed >= order.count,
            _ if passed != order.count => {}
            Action::Kill => {
                let _ = kill_process(getpid(), Signal::KILL);
                hold();
            }
            Action::Hold => hold(),
        }
    }
    fail
}

fn hold() -> ! {
    loop {
        thread::park();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's order, not configuration: no user may come by it")]
fn orders() -> &'static [Order] {
    static ORDERS: OnceLock<Vec<Order>> = OnceLock::new();
    ORDERS.get_or_init(|| parse(&std::env::var(VARIABLE).unwrap_or_default()))
}

fn parse(text: &str) -> Vec<Order> {
    let order = |text: &str| {
        let mut parts = text.splitn(3, ':');
        let (name, count, action) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let action = match action {
            "kill" => Action::Kill,
            "hold" => Action::Hold,
            "error" => Action::Error,
            _ => return None,
        };
        Some(Order { name: name.to_owned(), count, action, passed: AtomicU32::new(0) })
    };
    text.split(',')
        .filter(|text| !text.is_empty())
        .map(|text| {
            let order = order(text);
            // A test whose fault never happens would pass for the wrong reason.
            assert!(order.is_some(), "`{VARIABLE}` has an order that is not understood: `{text}`");
            order
        })
        .collect::<Option<_>>()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let orders = parse("audit.before-commit:3:kill,door.after-act:1:error");
        assert_eq!((orders.len(), orders[0].count, orders[1].action), (2, 3, Action::Error));
        assert!(parse("").is_empty());
        assert!(std::panic::catch_unwind(|| parse("audit.before-commit:x:kill")).is_err());
    }
}
