//! `runbook:state`: small durable values, and artifacts kept by digest. Both are part of the audit log's own database, so
//! they commit with their entry and are never in doubt.

use std::sync::OnceLock;

use futures_util::future::FutureExt as _;
use serde_json::{Value, json};

use super::super::bindings::runbook::state::{artifacts, state as wit};
use super::super::bindings::runbook::types::types::Error;
use super::super::call::{Asked, Call, Imagined, Need, Trouble};
use super::super::context::{LocalChanges, lock};
use super::super::instance::Guest;
use super::super::limits;
use super::super::overlay::Overlay;
use super::super::quota::Room;
use super::super::world::World;
use audit::StateChange;
use model::grant::{StateAction, check_state_name};
use secrets::scrub;
use words::effect::{Effect, Failure, FailureKind};
use words::ids::Digest;
use words::json::{self, Unreadable};

enum State {
    Get { bucket: String, key: String },
    List { bucket: String, prefix: String },
    Set { bucket: String, key: String, value: String },
    Delete { bucket: String, key: String },
}

impl State {
    fn bucket(&self) -> &str {
        match self {
            Self::Get { bucket, .. }
            | Self::List { bucket, .. }
            | Self::Set { bucket, .. }
            | Self::Delete { bucket, .. } => bucket,
        }
    }

    fn change(&self) -> Option<StateChange> {
        match self {
            Self::Get { .. } | Self::List { .. } => None,
            Self::Set { bucket, key, value } => Some(StateChange::Set {
                bucket: bucket.clone(),
                key: key.clone(),
                value: serde_json::from_str(value).unwrap_or(Value::Null),
            }),
            Self::Delete { bucket, key } => {
                Some(StateChange::Delete { bucket: bucket.clone(), key: key.clone() })
            }
        }
    }
}

impl Call for State {
    fn function(&self) -> &'static str {
        match self {
            Self::Get { .. } => "state.get",
            Self::List { .. } => "state.list-keys",
            Self::Set { .. } => "state.set",
            Self::Delete { .. } => "state.delete",
        }
    }

    fn arguments(&self) -> Value {
        match self {
            Self::Get { bucket, key } | Self::Delete { bucket, key } => {
                json!({ "bucket": bucket, "key": key })
            }
            Self::List { bucket, prefix } => json!({ "bucket": bucket, "prefix": prefix }),
            Self::Set { bucket, key, value } => json!({ "bucket": bucket, "key": key, "value": value }),
        }
    }

    fn effect(&self) -> Effect {
        if self.change().is_some() { Effect::Local } else { Effect::Read }
    }

    fn need(&self) -> Need {
        let action = if self.change().is_some() { StateAction::Write } else { StateAction::Read };
        Need::State { bucket: self.bucket().to_owned(), action }
    }

    fn check(&self) -> Result<(), Failure> {
        let invalid = |message: String| Err(Failure::new(FailureKind::Invalid, "state.invalid", message));
        let keys = match self {
            Self::Get { key, .. } | Self::Set { key, .. } | Self::Delete { key, .. } => Some(key),
            Self::List { .. } => None,
        };
        for name in std::iter::once(self.bucket()).chain(keys.map(String::as_str)) {
            if let Err(unfit) = check_state_name(name) {
                return invalid(unfit.message);
            }
        }
        let Self::Set { value, .. } = self else { return Ok(()) };
        if value.len() > limits::MAX_STATE_BYTES {
            let message =
                format!("a value has at most {} bytes, this one {}", limits::MAX_STATE_BYTES, value.len());
            return Err(Failure::new(FailureKind::Exhausted, "state.too-large", message));
        }
        match json::read::<Value>(value) {
            Ok(_) => Ok(()),
            Err(Unreadable::Excess(excess)) => {
                let message = format!("the value is too large: {excess}");
                Err(Failure::new(FailureKind::Exhausted, "state.too-large", message))
            }
            Err(error) => invalid(format!("the value is not JSON: {error}")),
        }
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move {
            let tables = world.state();
            match self {
                Self::Get { bucket, key } => {
                    let planned =
                        world.overlay().and_then(|overlay| lock(overlay).state(bucket, key).cloned());
                    let value = match planned {
                        Some(value) => value,
                        None => tables.get(bucket, key)?,
                    };
                    Ok(value.map_or(Value::Null, |value| Value::String(value.to_string())))
                }
                Self::List { bucket, prefix } => {
                    let keys = tables.keys(bucket, prefix, limits::MAX_STATE_KEYS)?;
                    let keys = match world.overlay() {
                        Some(overlay) => lock(overlay).state_keys(bucket, keys),
                        None => keys,
                    };
                    Ok(json!(keys))
                }
                // What these do commits with their entry.
                Self::Set { .. } | Self::Delete { .. } => Ok(Value::Null),
            }
        }
        .boxed()
    }

    fn imagine(&self, overlay: &mut Overlay, _before: &Value, _key: &Digest) -> Result<Imagined, Failure> {
        let target = match self.change() {
            Some(StateChange::Set { bucket, key, value }) => {
                overlay.set_state(&bucket, &key, Some(value));
                format!("{bucket}/{key}")
            }
            Some(StateChange::Delete { bucket, key }) => {
                overlay.set_state(&bucket, &key, None);
                format!("{bucket}/{key}")
            }
            None => unreachable!("reads are not imagined"),
        };
        Ok(Imagined { answer: Value::Null, target, assumption: None })
    }

    fn local(&self) -> LocalChanges {
        LocalChanges { state: self.change().into_iter().collect(), blobs: Vec::new() }
    }
}

/// Text kept by its digest.
struct Keep {
    name: String,
    content: String,
    digest: Digest,
    /// Held until the entry is written.
    room: OnceLock<Room>,
}

impl Keep {
    fn take_room(&self, world: &World) -> Result<(), Trouble> {
        let room = world.room(&self.digest, self.content.len() as u64)?;
        self.room.get_or_init(|| room);
        Ok(())
    }
}

impl Call for Keep {
    fn function(&self) -> &'static str {
        "artifacts.keep"
    }

    fn arguments(&self) -> Value {
        json!({ "name": self.name, "digest": self.digest, "bytes": self.content.len() })
    }

    fn kept_bytes(&self) -> usize {
        self.content.len()
    }

    fn effect(&self) -> Effect {
        Effect::Local
    }

    fn check(&self) -> Result<(), Failure> {
        if self.content.len() > limits::MAX_ARTIFACT_BYTES {
            let message = format!(
                "an artifact has at most {} bytes, this one {}",
                limits::MAX_ARTIFACT_BYTES,
                self.content.len()
            );
            return Err(Failure::new(FailureKind::Exhausted, "artifacts.too-large", message));
        }
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control) {
            let message = format!("`{}` is no name for an artifact", self.name.escape_debug());
            return Err(Failure::new(FailureKind::Invalid, "artifacts.name", message));
        }
        Ok(())
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move {
            self.take_room(world)?;
            Ok(Value::String(self.digest.as_str().to_owned()))
        }
        .boxed()
    }

    /// Of a plan: it says the same refusal.
    fn before<'a>(&'a self, world: &'a World) -> Asked<'a> {
        async move { self.take_room(world).map(|()| Value::Null) }.boxed()
    }

    fn imagine(&self, overlay: &mut Overlay, _before: &Value, _key: &Digest) -> Result<Imagined, Failure> {
        overlay.keep(self.digest.clone(), self.content.len() as u64);
        Ok(Imagined {
            answer: Value::String(self.digest.as_str().to_owned()),
            target: self.name.clone(),
            assumption: None,
        })
    }

    fn local(&self) -> LocalChanges {
        LocalChanges { state: Vec::new(), blobs: vec![self.content.clone().into_bytes()] }
    }
}

type Reply<T> = wasmtime::Result<Result<T, Error>>;

impl wit::Host for Guest {
    async fn get(&mut self, bucket: String, key: String) -> Reply<Option<String>> {
        self.pass(State::Get { bucket, key }).await
    }

    async fn set(&mut self, bucket: String, key: String, value: String) -> Reply<()> {
        // A replay must find the same in it; what is no JSON is refused behind the door.
        let value = match serde_json::from_str(&value) {
            Ok(document) if scrub::active() => scrub::document(document).to_string(),
            _ => value,
        };
        self.pass(State::Set { bucket, key, value }).await
    }

    async fn list_keys(&mut self, bucket: String, prefix: String) -> Reply<Vec<String>> {
        self.pass(State::List { bucket, prefix }).await
    }

    async fn delete(&mut self, bucket: String, key: String) -> Reply<()> {
        self.pass(State::Delete { bucket, key }).await
    }
}

impl artifacts::Host for Guest {
    async fn keep(&mut self, name: String, content: String) -> Reply<String> {
        // Before its digest is taken: what is kept is what the digest says.
        let (name, content) = (scrub::string(name), scrub::string(content));
        let digest = Digest::of(&content);
        self.pass(Keep { name, content, digest, room: OnceLock::new() }).await
    }
}
