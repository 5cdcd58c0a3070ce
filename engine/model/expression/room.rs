//! Stack for the parser and the interpreter, which recurse: a level of brackets costs about 100 KiB in a debug build.
//!
//! Most expressions are small and run where they are. What may need more than is surely left on any of our threads gets a
//! thread of its own for the moment.

/// The most brackets and operators in one expression.
pub(super) const MAX_OPERATORS: usize = 100;
/// The most members asked for (`.`) in one expression.
pub(super) const MAX_DOTS: usize = 250;

/// Stack per bracket or operator, measured at 100 in a debug build.
const KIB_PER_OPERATOR: usize = 150;
/// Stack per member, measured at 3.
const KIB_PER_DOT: usize = 5;
/// What is surely left on a thread that evaluates: a worker of the runtime has 2 MiB.
const KIB_IN_PLACE: usize = 1000;
/// Stack of a thread made for an expression; more than the limits above can use up.
const BYTES_OF_ITS_OWN: usize = 32 * 1024 * 1024;

const _: () = assert!(
    (MAX_OPERATORS * KIB_PER_OPERATOR + MAX_DOTS * KIB_PER_DOT) * 1024 < BYTES_OF_ITS_OWN,
    "the largest expression fits its stack"
);

/// Brackets and operators, `==` and its like counted once; and dots.
pub(super) fn size(text: &str) -> (usize, usize) {
    let mut operators = 0;
    let mut before = ' ';
    for c in text.chars() {
        let second = c == before && "=&|".contains(c) || c == '=' && "!<>".contains(before);
        if "([{?!-+*/%<>=&|".contains(c) && !second {
            operators += 1;
        }
        // The third of `!!!` or `---` is an operator of its own again.
        before = if second { ' ' } else { c };
    }
    (operators, text.matches('.').count())
}

/// Does the work where there is enough stack for an expression of this text; `None` if there is no thread to be had.
pub(super) fn enough_for<T: Send>(text: &str, work: impl FnOnce() -> T + Send) -> Option<T> {
    let (operators, dots) = size(text);
    if operators * KIB_PER_OPERATOR + dots * KIB_PER_DOT <= KIB_IN_PLACE {
        return Some(work());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(BYTES_OF_ITS_OWN).spawn_scoped(scope, work);
        thread.ok()?.join().ok()
    })
}
