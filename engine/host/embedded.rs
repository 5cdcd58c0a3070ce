//! What the binary carries with it: our plugins with their descriptions, and the standard library of runbooks.
//! Written by `engine/build.rs`. Knows nothing of plugins a person has added.

use crate::model::step_type::{Catalogue, PluginDescription};

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

#[cfg(test)]
mod tests {
    use super::{PLUGINS, catalogue, component};
    use crate::model::ids::Digest;

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
    fn a_plugin_imports_only_what_it_uses() {
        let core =
            catalogue().plugins().find(|plugin| plugin.name.as_str() == "core").cloned().expect("`core`");
        assert_eq!(core.imports, ["runbook:log/log"]);
    }
}
