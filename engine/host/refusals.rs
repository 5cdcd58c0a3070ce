//! Test only: `validate` refuses the input of a step exactly where the step itself would. Every step type of every shipped
//! plugin is tried: with an input it does not know, without one it needs, and with wrong values for each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Map, Value, json};

use super::embedded::component;
use super::{
    Attempt, HaltSwitch, Ledger, LocalChanges, Mode, Performed, Plugin, RunContext, RunParts, Site, Stop,
    Wasm, World, perform,
};
use model::grant::RunGrants;
use model::parse::{Known, builtin_step_types, parse};
use model::step_type::Catalogue;
use run::event::{Event, Outcome};
use secrets::{Keeper, SecretsSettings};
use words::effect::FailureKind;
use words::ids::{RunId, Section, StepPath};

/// Of the shipped plugins; read once.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(super::embedded::catalogue);

/// Writes nothing down.
struct Forgetful;

impl Ledger for Forgetful {
    fn announce(&self, _: Event, _: LocalChanges) -> BoxFuture<'_, Result<(), Stop>> {
        async { Ok(()) }.boxed()
    }

    fn record(&self, _: &Event) -> Result<(), Stop> {
        Ok(())
    }

    fn note(&self, _: &StepPath, _: u32, _: &'static str, _: String) {}
}

/// The least input of each step type, and what else is tried as it stands.
fn base(uses: &str) -> Value {
    match uses {
        "check.http" | "check.tcp" => json!({ "service": "shop/web", "port": 8080 }),
        "check.container" => json!({ "container": "shop-web-1" }),
        "container.exec" | "container.run" => json!({ "service": "shop/web", "command": ["date"] }),
        "container.script" => json!({ "service": "shop/web", "body": "date" }),
        "core.assert" => json!({ "that": true, "message": "m" }),
        "core.log" | "core.fail" => json!({ "message": "m" }),
        "http.request" => json!({ "url": "http://shop.example/" }),
        "service.order" => json!({ "project": "shop" }),
        "service.signal" => json!({ "service": "shop/web", "signal": "HUP" }),
        "service.resize" => json!({ "service": "shop/web", "memory": "64MiB" }),
        "service.scale" => json!({ "service": "shop/web", "replicas": 2 }),
        "state.get" | "state.delete" => json!({ "bucket": "deploys", "key": "web" }),
        "state.set" => json!({ "bucket": "deploys", "key": "web", "value": 1 }),
        "core.sleep" => json!({ "for": "1s" }),
        "ask.person" => json!({ "question": "q" }),
        "manual.step" => json!({ "instruction": "i" }),
        _ => json!({ "service": "shop/web" }),
    }
}

/// Inputs that only fit or do not fit together, and texts of a form.
fn special(uses: &str) -> Vec<Value> {
    let both = json!({ "container": "shop-web-1" });
    match uses {
        "container.exec" | "container.logs" | "diagnose.collect" => vec![both],
        "container.run" => vec![both, json!({ "timeout": "2h" })],
        "container.script" => vec![
            both,
            json!({ "secret_files": { "/run/x": "a" } }),
            json!({ "one_shot": true, "secret_files": { "/run/x": "a" } }),
            json!({ "one_shot": true, "interpreter": ["psql"] }),
            json!({ "one_shot": true, "interpreter": ["/bin/bash"] }),
            json!({ "one_shot": true, "interpreter": ["psql", "-c"] }),
            json!({ "interpreter": ["psql"] }),
        ],
        "http.request" => [
            json!({ "body": "a", "json": {} }),
            json!({ "headers": { "Host": "x" } }),
            json!({ "headers": { "a b": "x" } }),
            json!({ "headers": { "accept": "x" } }),
            json!({ "timeout": "2h" }),
            json!({ "url": "http://a b/" }),
            json!({ "url": "http://user:word@a/" }),
            json!({ "url": "ftp://a/" }),
        ]
        .into(),
        "service.resize" => vec![
            json!({ "memory": "1MiB" }),
            json!({ "cpus": 0.001 }),
            json!({ "cpus": "0.001" }),
            json!({ "cpus": "1.5" }),
            json!({ "memory": null }),
            json!({ "memory": null, "cpus": 1 }),
        ],
        "service.scale" => {
            vec![json!({ "replicas": 30 }), json!({ "minimum": 3 }), json!({ "replicas": 30, "maximum": 40 })]
        }
        "state.get" | "state.set" | "state.delete" => {
            vec![
                json!({ "bucket": "A" }),
                json!({ "key": "a..b" }),
                json!({ "key": "a b" }),
                json!({ "key": "a/b.c" }),
            ]
        }
        _ => Vec::new(),
    }
}

/// Each of another JSON type than most inputs have, or out of every range.
fn wrong_values() -> [Value; 12] {
    [
        json!(null),
        json!(true),
        json!(12),
        json!(-1),
        json!(1.5),
        json!(1e30),
        json!(""),
        json!("of no form"),
        json!([]),
        json!([1]),
        json!({}),
        json!({ "a": 1 }),
    ]
}

fn with(base: &Value, more: &Value) -> Value {
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    members(base).into_iter().chain(members(more)).collect::<Map<_, _>>().into()
}

/// What `validate` says of a runbook whose one step has this input.
fn refused_before(uses: &str, input: &Value) -> Option<String> {
    let text = format!(
        "format: 1\nrunbook: one\nrisk: high\ngrants:\n  containers:\n    - {{ select: {{ service: shop/web }}, actions: \
         [read, restart, kill, pause, create, remove, update, exec] }}\n    - {{ select: {{ project: shop }}, actions: \
         [read] }}\n  http: [\"http://shop.example/*\", \"http://*:8080/*\", \"tcp://*:*\"]\n  state: [{{ bucket: deploys, \
         actions: [write] }}]\n  secrets: [{{ names: [a], actions: [use] }}]\nsteps:\n  - id: one\n    uses: {uses}\n    \
         with: {input}\n"
    );
    let known = Known { catalogue: &CATALOGUE, runbooks: &BTreeMap::new() };
    let troubles = parse("one.yaml", &text, &known).err()?;
    for trouble in &troubles.troubles {
        assert!(matches!(trouble.line, 13 | 14), "`{uses}` {input}: no place: {trouble:?}");
        assert!(trouble.hint.is_some(), "`{uses}` {input}: no way out: {trouble:?}");
    }
    Some(troubles.render())
}

/// The step itself, in a world without containers: what it says of its input it says before it looks at anything.
struct Bench {
    wasm: Wasm,
    plugins: BTreeMap<String, Plugin>,
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let wasm = Wasm::new(None).expect("an engine");
        let load = |name: &words::ids::PluginName| {
            let bytes = component(name.as_str()).expect("a component");
            (name.to_string(), Plugin::load(&wasm, name, bytes).expect("a plugin"))
        };
        let plugins = CATALOGUE.plugins().map(|plugin| load(&plugin.name)).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        Self { wasm, plugins, runtime, folder: tempfile::tempdir().expect("a folder") }
    }

    /// How the step refuses its input, if it does.
    fn refused(&self, uses: &str, input: &Value) -> Option<String> {
        let (plugin, step) = uses.split_once('.').expect("a step type");
        let keeper = Keeper::new(self.folder.path(), SecretsSettings::default());
        let context = Arc::new(RunContext::new(RunParts {
            run: RunId::from_parts(1, 1),
            file: "one.yaml".to_owned(),
            target: "local".parse().expect("a target"),
            grants: RunGrants::default(),
            mode: Mode::Live,
            halt: HaltSwitch::default(),
            ledger: Arc::new(Forgetful),
            world: World::live(None, self.folder.path().to_owned(), (Arc::default(), Arc::default()), keeper),
            planned: None,
            is_child: false,
        }));
        let path = StepPath { section: Section::Steps, id: "one".parse().expect("an id"), item: None };
        let site =
            Site { path, attempt: 1, first_started_ms: 0, deadline_ms: words::clock::now_ms() + 60_000 };
        let attempt = Attempt { context, site, cursor: Vec::new(), step, input };
        match self.runtime.block_on(perform(&self.wasm, &self.plugins[plugin], attempt)) {
            Performed::Ended { outcome: Outcome::Error(failure), .. } => {
                let of_input = matches!(failure.kind, FailureKind::Invalid | FailureKind::Exhausted)
                    || failure.code == "http.reserved-header";
                of_input.then_some(failure.message)
            }
            Performed::Ended { .. } | Performed::Stopped(_) => None,
        }
    }
}

#[test]
fn what_a_step_would_refuse_is_refused_before() {
    let bench = Bench::new();
    let mut tried = 0;
    for plugin in CATALOGUE.plugins() {
        for step in &plugin.steps {
            let uses = format!("{}.{}", plugin.name, step.name);
            let base = base(&uses);
            assert_eq!(refused_before(&uses, &base), None, "the least input of `{uses}`");
            let inputs = step.input["properties"].as_object().into_iter().flatten().map(|(name, _)| name);
            let wrong = inputs.flat_map(|name| wrong_values().map(|value| json!({ name.as_str(): value })));
            for more in wrong.chain(special(&uses)) {
                let input = with(&base, &more);
                let (before, then) = (refused_before(&uses, &input), bench.refused(&uses, &input));
                assert!(
                    before.is_some() || then.is_none(),
                    "`{uses}` refuses {more}, and `validate` does not: {then:?}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 1_000, "{tried}");
}

#[test]
fn names_that_are_unknown_or_missing_are_refused_before_and_by_the_step() {
    let bench = Bench::new();
    for plugin in CATALOGUE.plugins() {
        for step in &plugin.steps {
            let uses = format!("{}.{}", plugin.name, step.name);
            let base = base(&uses);
            let both = |input: &Value, why: &str| {
                let before = refused_before(&uses, input).unwrap_or_else(|| panic!("`{uses}` takes {input}"));
                assert!(before.contains(why), "`{uses}` {input}: {before}");
                assert!(bench.refused(&uses, input).is_some(), "`{uses}` itself takes {input}");
            };
            let unknown = with(&base, &json!({ "timout": "2h" }));
            both(&unknown, "there is no input `timout`");
            for name in step.input["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let mut less = base.clone();
                less.as_object_mut().expect("a map").remove(name);
                both(&less, &format!("the input `{name}` is missing"));
            }
            if step.input["required"].is_null() {
                both(&json!({}), "one of the inputs");
            }
        }
    }
}

/// Every `tests/refused/*.yaml` and what is told of it, kept beside it; `UPDATE_EXPECT=1` writes the texts anew.
#[test]
fn every_refused_runbook_is_told_about() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/refused");
    let known = Known { catalogue: &CATALOGUE, runbooks: &BTreeMap::new() };
    let files = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a runbook");
        let troubles = parse(&name, &text, &known).expect_err(&name);
        expect_test::expect_file![path.with_extension("txt")].assert_eq(&troubles.render());
    }
}

#[test]
fn what_the_run_machine_performs_is_as_strict() {
    for (uses, step) in builtin_step_types() {
        let base = base(&uses);
        assert_eq!(refused_before(&uses, &base), None, "the least input of `{uses}`");
        let refused =
            |input: &Value| assert!(refused_before(&uses, input).is_some(), "`{uses}` takes {input}");
        refused(&with(&base, &json!({ "timout": "2h" })));
        refused(&json!({}));
        for (name, _) in step.input["properties"].as_object().into_iter().flatten() {
            for value in [json!(12), json!({}), json!(null)] {
                refused(&with(&base, &json!({ name.as_str(): value })));
            }
        }
    }
}
