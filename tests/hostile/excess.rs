//! Plugins that take more than there is: memory, tables, handles, stack, calls, room in the log.

use super::arena::{Arena, Case};
use super::component::{Arg, Guest, forever, times};

/// Text of so many bytes, made in the guest's own memory: `(PLACE, LENGTH)` for a call. The memory must have grown.
const GROWN: &str = "(drop (memory.grow (i32.const 900))) (memory.fill (i32.const 131072) (i32.const 120) (i32.const 57000000))";

fn big(bytes: u32) -> String {
    format!("(i32.const 131072) (i32.const {bytes})")
}

fn memory_and_tables() -> Vec<(Case, &'static str)> {
    let mut cases = Vec::new();
    let grow = "(drop (memory.grow (i32.const 64)))";
    cases.push((Case::new("memory", Guest::new().does(&forever(grow))), "plugin.memory"));
    let mut guest = Guest::new();
    guest.module.push_str("(table $t 1 funcref)");
    let grow = "(drop (table.grow $t (ref.null func) (i32.const 5000)))";
    cases.push((Case::new("table", guest.does(&forever(grow))), "plugin.memory"));
    let mut guest = Guest::new();
    guest.outer.push_str("(type $r (resource (rep i32))) (core func $new (canon resource.new $r))");
    guest.with.push_str(r#"(with "own" (instance (export "new" (func $new))))"#);
    guest.imports.push_str(r#"(import "own" "new" (func $new (param i32) (result i32)))"#);
    cases.push((
        Case::new("handles", guest.does(&forever("(drop (call $new (i32.const 1)))"))),
        "plugin.trapped",
    ));
    let mut guest = Guest::new();
    guest.module.push_str("(func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))");
    cases.push((Case::new("recursion", guest.does("(drop (call $deep (i32.const 0)))")), "plugin.stack"));
    cases
}

/// Lists inside each other, where the heap begins.
fn nested(depth: u32) -> String {
    format!(
        "(memory.fill (i32.const 131072) (i32.const 91) (i32.const {depth}))
         (i32.store8 (i32.const {}) (i32.const 49))
         (memory.fill (i32.const {}) (i32.const 93) (i32.const {depth}))",
        131_072 + depth,
        131_073 + depth
    )
}

/// A list of so many ones, where the heap begins.
fn ones(count: u32) -> String {
    let item =
        "(i32.store8 (i32.add (i32.const 131073) (i32.mul (local.get $i) (i32.const 2))) (i32.const 49))
        (i32.store8 (i32.add (i32.const 131074) (i32.mul (local.get $i) (i32.const 2))) (i32.const 44))";
    let end = 131_072 + 2 * count;
    format!(
        "(i32.store8 (i32.const 131072) (i32.const 91)) {} (i32.store8 (i32.const {end}) (i32.const 93))",
        times(count, item)
    )
}

fn outputs() -> Vec<(Case, &'static str)> {
    let result = |kind: u32, at: u32, length: u32| {
        format!(
            "(i32.store8 (i32.const 16) (i32.const {kind})) (i32.store (i32.const 24) (i32.const {at}))
             (i32.store (i32.const 28) (i32.const {length})) (i32.const 16)"
        )
    };
    let ends = |name, body: &str, code| (Case::new(name, Guest::new().ends(body)), code);
    let any = |name, body: &str, code| {
        let mut guest = Guest::new();
        "{}".clone_into(&mut guest.output);
        (Case::new(name, guest.ends(body)), code)
    };
    vec![
        ends("gigabyte", &result(0, 131_072, 1 << 30), "plugin.trapped"),
        ends("four-gigabytes", &result(0, 131_072, u32::MAX), "plugin.trapped"),
        ends("huge-output", &format!("{GROWN} {}", result(0, 131_072, 57_000_000)), "plugin.handed-over"),
        ends("large-output", &format!("{GROWN} {}", result(0, 131_072, 2_000_000)), "step.output-too-large"),
        ends("far-pointer", &result(0, 0xffff_fff0, 8), "plugin.trapped"),
        ends("far-result", "(i32.const -16)", "plugin.trapped"),
        ends("misaligned", "(i32.const 17)", "plugin.trapped"),
        ends("no-such-case", &result(7, 131_072, 1), "plugin.trapped"),
        ends(
            "no-such-kind",
            &format!("(i32.store8 (i32.const 24) (i32.const 99)) {}", result(1, 99, 1)),
            "plugin.trapped",
        ),
        ends(
            "not-utf8",
            &format!("(i32.store (i32.const 131072) (i32.const 0xfffefdfc)) {}", result(0, 131_072, 4)),
            "plugin.trapped",
        ),
        ends("not-json", &result(0, 131_072, 4), "step.output-not-json"),
        ends(
            "deep-json",
            &format!(
                "{GROWN} (memory.fill (i32.const 131072) (i32.const 91) (i32.const 100000)) {}",
                result(0, 131_072, 100_000)
            ),
            "step.output-too-large",
        ),
        any("deepest-json", &format!("{} {}", nested(64), result(0, 131_072, 129)), "ok"),
        any("deeper-json", &format!("{} {}", nested(65), result(0, 131_072, 131)), "step.output-too-large"),
        any("most-values", &format!("{GROWN} {} {}", ones(99_999), result(0, 131_072, 199_999)), "ok"),
        any(
            "more-values",
            &format!("{GROWN} {} {}", ones(100_000), result(0, 131_072, 200_001)),
            "step.output-too-large",
        ),
        ends("trap", "unreachable", "plugin.trapped"),
        ends("division", "(i32.div_u (i32.const 1) (local.get $i))", "plugin.trapped"),
        ends("outside", "(i32.load (i32.const -4))", "plugin.trapped"),
    ]
}

fn floods() -> Vec<(Case, &'static str)> {
    let mut cases = Vec::new();
    let mut guest = Guest::new();
    let write = guest.raw("log.write", &format!("(i32.const 1) {}", big(16_000_000)));
    cases.push((Case::new("long-lines", guest.does(&format!("{GROWN} {}", times(4, &write)))), "ok"));
    let mut large = |name, function, words: &[&str], bytes, count, code| {
        let mut guest = Guest::new();
        let words: String = words.iter().map(|word| guest.text(word) + " ").collect();
        let call = guest.raw(function, &format!("{words} {}", big(bytes)));
        cases.push((Case::new(name, guest.does(&format!("{GROWN} {}", times(count, &call)))), code));
    };
    large("huge-state", "state.set", &["mine", "k"], 57_000_000, 3, "plugin.handed-over");
    large("large-state", "state.set", &["mine", "k"], 12_000_000, 3, "host.arguments");
    large("much-state", "state.set", &["mine", "k"], 4_000_000, 100, "host.recorded");
    large("huge-artifact", "artifacts.keep", &["a"], 57_000_000, 3, "plugin.handed-over");
    large("many-artifacts", "artifacts.keep", &["a"], 16_000_000, 100, "host.recorded");
    large("huge-name", "containers.inspect", &[], 16_500_000, 1, "host.arguments");
    large("many-strings", "containers.service", &[], 16_500_000, 1, "host.arguments");
    cases.into_iter().map(|(case, code)| (case.within("60s"), code)).collect()
}

/// Lets all of them loose at once; each must come to what is said of it.
pub(crate) fn all(cases: Vec<(Case, &'static str)>) {
    let (cases, wanted): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let arena = Arena::of(&cases);
    let told = arena.run("grants: { state: [{ bucket: mine, actions: [read, write] }] }", &cases);
    for (case, wanted) in cases.iter().zip(wanted) {
        assert_eq!(told.end_of(case.name), wanted, "{}", case.name);
    }
    arena.end(&told);
}

#[test]
fn memory_tables_handles_and_stack() {
    all(memory_and_tables());
}

#[test]
fn results_that_are_none() {
    all(outputs());
}

#[test]
fn floods_of_calls_and_bytes() {
    all(floods());
}

#[test]
fn the_call_over_the_limit_is_refused_and_recorded_once() {
    let mut guest = Guest::new();
    let get = guest.call("state.get", &[Arg::Text("mine"), Arg::Text("k")]);
    let cases = [Case::new("calls", guest.does(&forever(&get))).within("60s")];
    let arena = Arena::of(&cases);
    let told = arena.run("grants: { state: [{ bucket: mine, actions: [read] }] }", &cases);
    let calls = told.calls("calls");
    assert_eq!(calls.len(), 10_001);
    assert_eq!(calls.iter().position(|(_, code)| code == "host.calls"), Some(10_000));
    assert_eq!(told.end_of("calls"), "host.calls");
    arena.end(&told);
}
