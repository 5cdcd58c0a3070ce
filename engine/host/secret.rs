//! Secrets as calls know them: by name and version. The text is fetched when it is put somewhere, and never recorded.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call::Trouble;
use super::world::World;
use secrets::{Error, ErrorKind, Version};
use words::effect::FailureKind;
use words::secret::{SecretName, SecretValue};

/// One version of one secret: what is recorded of a use, and all that a handle of a plugin stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SecretRef {
    pub(super) secret: SecretName,
    pub(super) version: Version,
}

/// What stands behind a plugin's handle.
#[expect(unreachable_pub, reason = "the generated bindings hand it on")]
pub struct Handle(pub(super) SecretRef);

/// Secrets by the name of a variable or the path of a file; recorded as a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Placed(pub(super) Vec<(String, SecretRef)>);

impl Serialize for Placed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map: Map<String, Value> = self
            .0
            .iter()
            .map(|(place, secret)| (place.clone(), serde_json::to_value(secret).unwrap_or_default()))
            .collect();
        map.serialize(serializer)
    }
}

impl Placed {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts, for the host alone.
    pub(super) async fn values(&self, world: &World) -> Result<Vec<(String, Arc<SecretValue>)>, Trouble> {
        let mut values = Vec::with_capacity(self.0.len());
        for (place, secret) in &self.0 {
            values.push((place.clone(), world.secret(secret).await?));
        }
        Ok(values)
    }

    /// Where each goes, in words.
    pub(super) fn uses(&self, words: impl Fn(&str) -> String) -> Vec<Use> {
        self.0.iter().map(|(place, secret)| Use { secret: secret.clone(), place: words(place) }).collect()
    }
}

/// A secret that a call puts somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) secret: SecretRef,
    /// Where to, in words.
    pub(super) place: String,
}

impl World {
    /// The version of a secret that is used now. A run needs the text as well: better that it fails here than half-way.
    pub(super) async fn current_secret(&self, name: &SecretName) -> Result<SecretRef, Trouble> {
        let (keeper, name, plans) = (self.keeper().clone(), name.clone(), self.overlay().is_some());
        on_a_thread(move || {
            let version = keeper.current(&name)?;
            if !plans {
                keeper.value(&name, &version)?;
            }
            Ok(SecretRef { secret: name, version })
        })
        .await
    }

    /// The text of a version.
    pub(super) async fn secret(&self, of: &SecretRef) -> Result<Arc<SecretValue>, Trouble> {
        let (keeper, of) = (self.keeper().clone(), of.clone());
        on_a_thread(move || keeper.value(&of.secret, &of.version)).await
    }
}

/// Reads files, and may stretch a passphrase.
async fn on_a_thread<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Trouble> {
    let gone = |_| {
        let words = "the secrets could not be asked for";
        Trouble::certain(FailureKind::Internal, "secrets.internal", words)
    };
    tokio::task::spawn_blocking(ask).await.map_err(gone)?.map_err(|error| trouble(&error))
}

fn trouble(error: &Error) -> Trouble {
    let (kind, code) = match error.kind() {
        ErrorKind::NotFound => (FailureKind::NotFound, "secrets.not-found"),
        ErrorKind::Invalid => (FailureKind::Invalid, "secrets.invalid"),
        ErrorKind::Conflict => (FailureKind::Conflict, "secrets.conflict"),
        ErrorKind::Locked => (FailureKind::Unavailable, "secrets.locked"),
        ErrorKind::Damaged => (FailureKind::Unavailable, "secrets.damaged"),
        ErrorKind::TooOpen => (FailureKind::Unavailable, "secrets.too-open"),
        ErrorKind::Io => (FailureKind::Unavailable, "secrets.unreadable"),
    };
    let words = match error.way_out() {
        Some(way_out) => format!("{error}: {way_out}"),
        None => error.to_string(),
    };
    Trouble::certain(kind, code, words)
}
