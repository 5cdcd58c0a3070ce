//! Secrets: a plugin holds handles and says where each goes; the engine puts the text there.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::bindings::runbook::secrets::secrets;

/// A handle of one version of a secret: from [`Host::secret`](crate::Host::secret).
pub struct Secret(Inner);

/// The sandbox has handles of the engine, tests have names.
enum Inner {
    Handle(secrets::Secret),
    #[cfg(not(target_arch = "wasm32"))]
    Named(String, String),
}

impl Secret {
    pub(crate) fn of(handle: secrets::Secret) -> Self {
        Self(Inner::Handle(handle))
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn named(name: &str, version: &str) -> Self {
        Self(Inner::Named(name.to_owned(), version.to_owned()))
    }

    pub(crate) fn handle(&self) -> &secrets::Secret {
        match &self.0 {
            Inner::Handle(handle) => handle,
            #[cfg(not(target_arch = "wasm32"))]
            Inner::Named(name, _) => panic!("secret `{name}` is of a test: no engine knows it"),
        }
    }

    /// The name it was asked for by.
    pub fn name(&self) -> String {
        match &self.0 {
            Inner::Handle(handle) => handle.name(),
            #[cfg(not(target_arch = "wasm32"))]
            Inner::Named(name, _) => name.clone(),
        }
    }

    /// The version it stands for.
    pub fn version(&self) -> String {
        match &self.0 {
            Inner::Handle(handle) => handle.version(),
            #[cfg(not(target_arch = "wasm32"))]
            Inner::Named(_, version) => version.clone(),
        }
    }
}

/// A secret in a request: where it goes, and what stands before it.
pub struct SecretPart<'a> {
    /// Which.
    pub secret: &'a Secret,
    /// Where.
    pub place: SecretPlace,
    /// For example `Bearer `; empty with [`SecretPlace::BasicAuth`].
    pub prefix: String,
}

pub use crate::bindings::runbook::http::http::SecretPlace;

/// The name of a secret in an input. As a type of its own the engine knows that a step uses the secret, and can tell
/// before it runs whether that is granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretName(pub String);

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for SecretName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "secret-name", "minLength": 1, "maxLength": 128 })
    }
}
