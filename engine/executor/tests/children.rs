//! What a child run is accepted with.

use serde_json::Value;

use crate::acceptance::{Parent, Prepared, child_request, prepare};
use crate::refusal::Refusal;
use crate::request::{Request, Source};
use host::embedded;
use model::step_type::Catalogue;
use words::ids::{Digest, PluginName, RunId, RunbookName};

const PARENT: &str = "format: 1
runbook: parent
summary: Use another, which uses another.
steps:
  - { id: one, uses: runbook.child }
";

const CHILD: &str = "format: 1
runbook: child
summary: Use another.
steps:
  - { id: one, uses: core.log, with: { message: hello } }
  - { id: two, uses: runbook.grandchild }
";

const GRANDCHILD: &str = "format: 1
runbook: grandchild
summary: Remember.
grants: { state: [{ bucket: b, actions: [read] }] }
steps:
  - { id: get, uses: state.get, with: { bucket: b, key: k } }
";

fn name(text: &str) -> RunbookName {
    RunbookName::new(text).unwrap()
}

fn plugin(text: &str) -> PluginName {
    PluginName::new(text).unwrap()
}

fn request() -> Request {
    let others = [("child", CHILD), ("grandchild", GRANDCHILD)];
    let others = others.map(|(of, text)| (name(of), format!("{of}.yaml"), text.to_owned())).to_vec();
    let source = Source { file: "parent.yaml".to_owned(), text: PARENT.to_owned(), others };
    Request { runbook: source, ..super::request(PARENT, &Value::Null) }
}

async fn accepted(request: &Request, parent: Option<Parent>, catalogue: &Catalogue) -> Prepared {
    let nobody =
        async |target: &_| Err(Refusal::UnknownTarget { name: format!("{target}"), known: Vec::new() });
    prepare(request, parent, catalogue, nobody).await.unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn child_of(parent: &Prepared) -> Request {
    let texts = [("child", CHILD), ("grandchild", GRANDCHILD)].map(|(of, text)| (name(of), text.to_owned()));
    child_request(&parent.accepted, &name("child"), &serde_json::json!({}), &texts).unwrap()
}

#[tokio::test]
async fn the_plugins_of_all_it_may_come_to_use_are_pinned_with_the_parent() {
    let catalogue = embedded::catalogue();
    let prepared = accepted(&request(), None, &catalogue).await;
    let names: Vec<&str> = prepared.accepted.plugins.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["core", "state"]);
    assert!(prepared.accepted.plugins_of_children);
}

#[tokio::test]
async fn a_child_uses_the_plugins_its_parent_was_accepted_with() {
    let catalogue = embedded::catalogue();
    let mut parent = accepted(&request(), None, &catalogue).await;
    // Since then somebody has added another version.
    let newer = Digest::of("a newer plugin");
    let mut later = catalogue.clone();
    let mut core = catalogue.plugin(&plugin("core")).unwrap().clone();
    core.digest = newer.clone();
    core.steps.clear();
    later.add(core);
    let digest_of_core = |prepared: &Prepared| {
        let plugins = &prepared.accepted.plugins;
        plugins.iter().find(|(name, _)| *name == plugin("core")).map(|(_, digest)| digest.clone()).unwrap()
    };
    let asking = |parent: &Prepared| Parent::of(RunId::from_parts(1, 1), &parent.accepted);
    let child = accepted(&child_of(&parent), Some(asking(&parent)), &later).await;
    assert_eq!(digest_of_core(&child), digest_of_core(&parent));
    assert_ne!(digest_of_core(&child), newer);

    parent.accepted.plugins_of_children = false;
    let mut later = catalogue.clone();
    let mut core = catalogue.plugin(&plugin("core")).unwrap().clone();
    core.digest = newer.clone();
    later.add(core);
    let child = accepted(&child_of(&parent), Some(asking(&parent)), &later).await;
    assert_eq!(digest_of_core(&child), newer, "as the engine that accepted the parent would have done");
}
