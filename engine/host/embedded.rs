//! What the binary carries with it: our plugins with their descriptions, and the standard library of runbooks.
//! Written by `engine/host/build.rs`. Knows nothing of plugins a person has added.

use model::step_type::{Catalogue, PluginDescription};
use words::ids::PluginName;

struct Embedded {
    name: &'static str,
    component: &'static [u8],
    description: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Our plugins' descriptions; no plugin is compiled for it.
pub fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for plugin in PLUGINS {
        match serde_json::from_str::<PluginDescription>(plugin.description) {
            Ok(description) => catalogue.add(description),
            Err(error) => unreachable!("the build wrote a bad description of `{}`: {error}", plugin.name),
        }
    }
    catalogue
}

/// The component of one of our plugins.
pub fn component(name: &str) -> Option<&'static [u8]> {
    PLUGINS.iter().find(|plugin| plugin.name == name).map(|plugin| plugin.component)
}

/// Name and text of every runbook of the library, sorted by name.
pub fn runbooks() -> impl Iterator<Item = (&'static str, &'static str)> {
    RUNBOOKS.iter().copied()
}

/// Path and content of every file of a new plugin's project, which builds and tests by itself.
pub fn project(name: &PluginName) -> impl Iterator<Item = (&'static str, String)> {
    PROJECT.iter().map(move |(path, text)| {
        // A file of this name would hide the folder it lies in here.
        let path = if *path == "gitignore" { ".gitignore" } else { path };
        (path, text.replace("{{name}}", name.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use serde_json::{Map, Value, json};

    use super::{PLUGINS, catalogue, component, project, runbooks};
    use model::expression::{Expression, Scope};
    use model::grant::Grants;
    use model::input::check;
    use model::parameters::resolve;
    use model::parse::{Known, lints, parse, signature};
    use model::runbook::{Runbook, Uses};
    use words::ids::{Digest, PluginName, RunbookName};

    fn library() -> Vec<Runbook> {
        let named = runbooks().map(|(name, text)| {
            let signature = signature(text).unwrap_or_else(|| panic!("{name} cannot be read"));
            (RunbookName::new(name).expect("a name"), signature)
        });
        let signatures: BTreeMap<_, _> = named.collect();
        let known = Known { catalogue: &catalogue(), runbooks: &signatures };
        let read = |(name, text)| {
            let file = format!("library/{name}");
            let runbook =
                parse(&file, text, &known).unwrap_or_else(|troubles| panic!("{}", troubles.render()));
            let lints: Vec<_> = lints(&file, &runbook);
            assert!(lints.is_empty(), "{name}: {lints:?}");
            runbook
        };
        runbooks().map(read).collect()
    }

    #[test]
    fn the_library_is_valid_and_explains_itself() {
        for runbook in library() {
            let name = &runbook.name;
            for word in ["**Meaning.**", "**Impact.**", "**Diagnosis.**", "**Mitigation.**"] {
                assert!(runbook.about.contains(word), "`{name}` does not tell its {word}");
            }
            for parameter in &runbook.parameters {
                assert!(!parameter.about.is_empty(), "`{name}`: `{}` is not explained", parameter.name);
            }
            for step in &runbook.steps {
                let told = !step.summary.is_empty() && step.expect.is_some() && step.if_it_fails.is_some();
                assert!(told, "`{name}`: `{}` does not tell what, what to expect, and what to do", step.id);
            }
            assert_ne!(runbook.grants, Grants::default(), "`{name}` is granted nothing");
        }
    }

    /// What a person would give at least.
    fn given(runbook: &Runbook) -> Map<String, Value> {
        let sample = |name: &str| match name {
            "replicas" => json!(3),
            "signal" => json!("HUP"),
            "project" => json!("shop"),
            "body" => json!("exit 0"),
            _ => json!("shop/web"),
        };
        let missing = runbook.parameters.iter().filter(|parameter| parameter.default.is_none());
        let mut given: Map<String, Value> =
            missing.map(|parameter| (parameter.name.to_string(), sample(parameter.name.as_str()))).collect();
        if runbook.name.as_str() == "service-resize" {
            given.insert("memory".to_owned(), json!("64MiB"));
        }
        given
    }

    #[test]
    fn the_defaults_make_sense() {
        let catalogue = catalogue();
        for runbook in library() {
            let name = &runbook.name;
            let parameters =
                resolve(&runbook, &given(&runbook)).unwrap_or_else(|e| panic!("`{name}`: {e:?}"));
            let scope = Scope::of(Map::from_iter([("parameters".to_owned(), parameters)]));
            runbook.grants.evaluate(&scope).unwrap_or_else(|e| panic!("`{name}`: {e:?}"));
            for step in &runbook.steps {
                let Uses::Plugin { plugin, step: kind } = &step.uses else { continue };
                let later = |e: &&Expression| e.text().contains("steps.") || e.text().contains("item");
                if step.with.expressions().iter().any(later) {
                    continue;
                }
                let with = step.with.evaluate(&scope).unwrap_or_else(|e| panic!("`{name}`: {e}"));
                let input = &catalogue.step(plugin, kind).expect("it is known").input;
                // A probe without a port is skipped by its condition.
                if step.condition.is_none() {
                    check(input, &with).unwrap_or_else(|e| panic!("`{name}`, `{}`: {e}", step.id));
                }
            }
        }
    }

    #[test]
    fn every_plugin_is_what_its_description_says() {
        let catalogue = catalogue();
        assert_eq!(catalogue.plugins().count(), PLUGINS.len());
        for plugin in catalogue.plugins() {
            let bytes = component(plugin.name.as_str()).expect("its component");
            assert_eq!(plugin.digest, Digest::of(bytes), "`{}`", plugin.name);
            assert!(
                plugin.imports.iter().all(|import| import.starts_with("runbook:")),
                "{:?}",
                plugin.imports
            );
            for step in &plugin.steps {
                assert_eq!(step.input["additionalProperties"], false, "`{}.{}`", plugin.name, step.name);
                assert!(!step.input.to_string().contains("$ref"), "`{}.{}`", plugin.name, step.name);
            }
        }
    }

    #[test]
    fn a_new_project_tests_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in project(&PluginName::new("my-own").expect("a name")) {
            assert!(!text.contains("{{name}}"), "{path}");
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        // The crates it needs are built already, for our own plugins.
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(folder.path()).args(["test", "--lib", "--target-dir"]).arg(target);
        let output = cargo.output().expect("cargo runs");
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("it_counts_those_that_serve ... ok"), "{told}");
    }

    #[test]
    fn a_plugin_imports_only_what_it_uses() {
        let core =
            catalogue().plugins().find(|plugin| plugin.name.as_str() == "core").cloned().expect("`core`");
        assert_eq!(core.imports, ["runbook:log/log"]);
    }
}
