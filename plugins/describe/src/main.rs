//! Prints what our plugins say of themselves, as JSON. The engine's build runs it natively, so that no start of the
//! engine has to compile a plugin only to learn its step types. A new plugin of ours is added here.

use runbook_plugin::{Imports, Step};
use serde_json::{Value, json};

fn main() {
    let plugins = [
        describe("check", &runbook_check::steps()),
        describe("container", &runbook_container::steps()),
        describe("core", &runbook_core::steps()),
        describe("diagnose", &runbook_diagnose::steps()),
        describe("http", &runbook_http::steps()),
        describe("service", &runbook_service::steps()),
        describe("state", &runbook_state::steps()),
    ];
    println!("{}", Value::from(plugins.to_vec()));
}

fn describe(name: &str, steps: &[Step<Imports>]) -> Value {
    json!({ "name": name, "steps": steps.iter().map(Step::describe).collect::<Vec<_>>() })
}
