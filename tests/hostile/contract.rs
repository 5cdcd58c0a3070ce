//! Plugins that are not what they say, or ask for what is not offered: refused when they are added.

use super::component::{Arg, Guest, forever};
use crate::support::engine::Engine;

struct Refused {
    name: &'static str,
    wasm: Vec<u8>,
    words: &'static str,
}

fn refused(name: &'static str, wasm: impl Into<Vec<u8>>, words: &'static str) -> Refused {
    Refused { name, wasm: wasm.into(), words }
}

/// A whole component with this before everything else.
fn with_import(import: &str) -> Vec<u8> {
    let mut guest = Guest::new();
    import.clone_into(&mut guest.first);
    guest.does("")
}

fn parsed(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("text of WebAssembly")
}

fn not_components() -> Vec<Refused> {
    let mut cut = Guest::new().does("");
    cut.truncate(cut.len() / 2);
    let mut large = Guest::new().does("");
    large.resize(17 << 20, 0);
    vec![
        refused("empty", "", "not a WASM component"),
        refused("text", "#!/bin/sh\nrm -rf /\n", "not a WASM component"),
        refused("cut", cut, "not a WASM component"),
        refused("large", large, "larger than 16 MiB"),
        refused("module", parsed("(module (func (export \"run\")))"), "not a WASM component"),
        refused("nothing", parsed("(component)"), "not a WASM component"),
        refused("service", Guest::new().does(""), "a plugin inside the binary"),
    ]
}

fn imports() -> Vec<Refused> {
    let wasi = |interface: &str| {
        with_import(&format!(r#"(import "wasi:{interface}" (instance (export "x" (func))))"#))
    };
    let own = |text: &str| with_import(&format!("(import {text})"));
    vec![
        refused("wasi-files", wasi("filesystem/preopens@0.2.0"), "asks for `wasi:filesystem/preopens@0.2.0`"),
        refused("wasi-sockets", wasi("sockets/tcp@0.2.0"), "asks for `wasi:sockets/tcp@0.2.0`"),
        refused("wasi-environment", wasi("cli/environment@0.2.0"), "asks for `wasi:cli/environment@0.2.0`"),
        refused(
            "passwords",
            own(r#""runbook:passwords/passwords@0.1.0" (instance (export "get" (func)))"#),
            "asks for `runbook:passwords",
        ),
        refused(
            "secret-texts",
            own(
                r#""runbook:secrets/secrets@0.1.0" (instance (export "get" (func (param "name" string) (result string))))"#,
            ),
            "get",
        ),
        refused("bare", own(r#""system" (func (param "command" string))"#), "asks for `system`"),
        refused(
            "more",
            own(r#""runbook:containers/containers@0.1.0" (instance (export "exec-on-host" (func)))"#),
            "exec-on-host",
        ),
        refused(
            "other-version",
            own(r#""runbook:containers/containers@9.0.0" (instance (export "stop" (func)))"#),
            "not a WASM component",
        ),
        refused(
            "other-type",
            own(r#""runbook:clock/clock@0.1.0" (instance (export "now-ms" (func (result string))))"#),
            "now-ms",
        ),
    ]
}

fn too_large() -> Vec<Refused> {
    let inside = |module: &str| {
        let mut guest = Guest::new();
        module.clone_into(&mut guest.module);
        guest.does("")
    };
    let mut memories = Guest::new();
    memories.outer = format!("(core module $m (memory 1)) {}", "(core instance (instantiate $m))".repeat(3));
    let mut instances = Guest::new();
    instances.outer = format!("(core module $m) {}", "(core instance (instantiate $m))".repeat(60));
    let mut memory = Guest::new();
    memory.heap = r#"(core module $heap (memory (export "memory") 2000)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 131072)))
        (core instance $heap (instantiate $heap))"#;
    let loops = inside("(func $start (loop $again (br $again))) (start $start)");
    vec![
        refused("start-loops", loops, "cannot describe itself: wasm trap: interrupt"),
        refused("memory-at-once", memory.does(""), "memory index 0 is unsupported"),
        refused("memories", memories.does(""), "4 Wasm linear memories"),
        refused("tables", inside(&"(table 1 funcref)".repeat(9)), "defined tables count"),
        refused("table-at-once", inside("(table 1000000 funcref)"), "table index 0 has"),
        refused("instances", instances.does(""), "core module instances"),
    ]
}

fn descriptions() -> Vec<Refused> {
    let describing = |expression: &str| {
        let mut guest = Guest::new();
        guest.describe = Some(expression.to_owned());
        guest.does("")
    };
    let list = |count: u32| {
        format!(
            "(i32.store (i32.const 512) (i32.const 131072)) (i32.store (i32.const 516) (i32.const {count})) (i32.const 512)"
        )
    };
    let with_schema = |schema: &str| {
        let mut guest = Guest::new();
        schema.clone_into(&mut guest.output);
        guest.does("")
    };
    let named = |name: &str, summary: &str| {
        let mut guest = Guest::new();
        guest.called = [name.to_owned(), summary.to_owned()];
        guest.does("")
    };
    let mut calls = Guest::new();
    let now = calls.call("clock.now-ms", &[]);
    calls.describe = Some(format!("{now} (i32.const 0)"));
    let mut logs = Guest::new();
    let write = logs.call("log.write", &[Arg::Number(1), Arg::Text("hello")]);
    logs.describe = Some(format!("{write} (i32.const 0)"));
    let doubling: Vec<String> = (0..12)
        .map(|n| {
            format!(r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##, n + 1)
        })
        .collect();
    let doubling = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d12":{{}}}}}}"##, doubling.join(","));
    vec![
        refused(
            "describe-loops",
            describing(&format!("{} (i32.const 0)", forever(""))),
            "cannot describe itself: wasm trap: interrupt",
        ),
        refused("describe-traps", describing("unreachable"), "describe itself"),
        refused("describe-calls", calls.does(""), "describe itself"),
        refused("describe-logs", logs.does(""), "describe itself"),
        refused("describe-gigabyte", describing(&list(30_000_000)), "describe itself"),
        refused("describe-far", describing("(i32.const -4)"), "describe itself"),
        refused("step-name", named("attack\u{1b}[2J", "Does harm."), "no name for a step type"),
        refused("step-summary", named("attack", "Does\u{1b}[2J harm."), "is not one line"),
        refused("schema-text", with_schema("not JSON"), "is not JSON"),
        refused("schema-self", with_schema(r##"{"$ref":"#"}"##), "refers to itself"),
        refused("schema-doubling", with_schema(&doubling), "more than 2000 parts"),
        refused("schema-remote", with_schema(r#"{"$ref":"http://169.254.169.254/"}"#), "not in it"),
        refused("schema-file", with_schema(r#"{"$ref":"file:///etc/passwd"}"#), "not in it"),
    ]
}

/// Tries to add it; gives what is wrong with how that ended.
fn trouble(engine: &Engine, case: &Refused) -> Option<String> {
    let file = engine.path(&format!("{}.wasm", case.name));
    std::fs::write(&file, &case.wasm).expect("a file");
    let ended = engine.run(&["plugin", "add", &file.to_string_lossy()]);
    let added = engine.data().join("plugins").join(format!("{}.wasm", case.name)).exists();
    let good = ended.code == 3 && ended.said().contains(case.words) && !added;
    (!good).then(|| format!("{}: {}\n{}", case.name, ended.code, ended.said()))
}

#[test]
fn what_is_no_plugin_is_not_added() {
    let groups = [not_components(), imports(), too_large(), descriptions()];
    let troubles: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = groups
            .iter()
            .map(|group| {
                scope.spawn(move || {
                    let engine = Engine::new();
                    let troubles: Vec<String> =
                        group.iter().filter_map(|case| trouble(&engine, case)).collect();
                    let kinds = engine.run(&["audit", "tail", "--kind", "plugin.added"]).stdout;
                    assert_eq!(kinds, "", "none was added");
                    troubles
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(troubles.is_empty(), "{}", troubles.join("\n\n"));
}
