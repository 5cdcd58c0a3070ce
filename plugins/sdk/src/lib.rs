//! Write a runbook plugin as plain functions from a typed input to a typed output.
//!
//! ```
//! # use runbook_plugin::{Context, Error, Host, Step};
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Greet {
//!     /// Who is greeted.
//!     name: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Greeted {
//!     /// What was said.
//!     words: String,
//! }
//!
//! fn greet(host: &impl Host, _: &Context, input: &Greet) -> Result<Greeted, Error> {
//!     let words = format!("Hello, {}.", input.name);
//!     host.info(&words);
//!     Ok(Greeted { words })
//! }
//!
//! pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
//!     vec![Step::new("greet", "Say hello.", &[], greet)]
//! }
//!
//! runbook_plugin::export!(steps);
//! ```
//!
//! Schemas come from the types, their words from the doc comments. Logic is written against [`Host`], so that it is
//! tested natively against [`mock::World`], a small world of containers; in the sandbox the same code speaks to the
//! engine. A plugin imports only what its steps call, and that list is what people are shown as its request for power.
//!
//! The SDK decides nothing: it holds no grants, no retries and no journal; these are the engine's.

mod container;
mod duration;
mod error;
pub mod guest;
mod host;
mod imports;
mod request;
pub mod rule;
mod secret;
mod size;
mod step;
pub mod text;
mod timestamp;

#[cfg(not(target_arch = "wasm32"))]
pub mod mock;

/// What `wit-bindgen` makes of the contract in `wit/`.
#[expect(missing_docs, clippy::pedantic, reason = "generated from the contract, which is documented")]
pub mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../wit/types",
            "../../wit/secrets",
            "../../wit/log",
            "../../wit/progress",
            "../../wit/clock",
            "../../wit/state",
            "../../wit/http",
            "../../wit/containers",
            "../../wit/step",
        ],
        world: "runbook:step/plugin",
        pub_export_macro: true,
        default_bindings_module: "runbook_plugin::bindings",
        additional_derives: [PartialEq],
        additional_derives_ignore: ["secret-part", "overrides", "exec-request"],
        generate_all,
    });
}

pub use bindings::exports::runbook::step::step::Context;
pub use bindings::runbook::containers::containers::{
    Condition, Container, Event, ExecOutput, Health, Limits, Port, Sample, State, Stopped,
};
pub use bindings::runbook::http::http::{Request, Response};
pub use bindings::runbook::log::log::Level;
pub use bindings::runbook::types::types::{Error, ErrorKind};
pub use container::{Facts, select};
pub use duration::Duration;
pub use host::Host;
pub use imports::Imports;
pub use request::{ExecRequest, Overrides};
pub use schemars::JsonSchema;
pub use secret::{Secret, SecretName, SecretPart, SecretPlace};
pub use serde::{Deserialize, Serialize};
pub use size::Size;
pub use step::Step;
pub use timestamp::milliseconds;
