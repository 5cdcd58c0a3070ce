//! What a host call is: one small type per function of the contract, saying what the door needs to know of it.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::Value;

use super::context::LocalChanges;
use super::limits;
use super::overlay::Overlay;
use super::secret::Use;
use super::world::World;
use model::grant::{ContainerAction, StateAction};
use model::secret_grant::SecretAction;
use words::effect::{Effect, Failure, FailureKind};
use words::ids::Digest;

/// A call that did not answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// What the plugin is told.
    pub failure: Failure,
    /// Whether it is proven that nothing was changed.
    pub certain: bool,
}

impl Trouble {
    /// Nothing was changed.
    pub fn certain(kind: FailureKind, code: &str, message: impl Into<String>) -> Self {
        Self { failure: Failure::new(kind, code, message), certain: true }
    }
}

impl From<docker::Error> for Trouble {
    fn from(error: docker::Error) -> Self {
        Self { failure: error.failure, certain: error.certain }
    }
}

/// What comes of asking the world.
pub(super) type Asked<'a, T = Value> = BoxFuture<'a, Result<T, Trouble>>;

/// What a call needs to be granted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Need {
    /// Time, chance, artifacts: always there.
    Nothing,
    /// Something done to one container.
    Container {
        /// Id or name.
        id: String,
        /// What.
        action: ContainerAction,
        /// Whether it may take the container out of service.
        takes_down: bool,
    },
    /// Reading a whole service or project; what is answered is checked container by container.
    Answered,
    /// A request to this address.
    Address(super::address::Address),
    /// A bucket of state.
    State {
        /// The bucket.
        bucket: String,
        /// What.
        action: StateAction,
    },
    /// A secret.
    Secret {
        /// Its name.
        name: String,
        /// What.
        action: SecretAction,
    },
}

/// A call that was announced: what is known to establish it.
#[derive(Debug, Clone)]
pub(super) struct Intent {
    /// Names the call for ever: run, step, attempt, ordinal.
    pub(super) key: Digest,
    /// What was seen before.
    pub(super) before: Value,
    /// When it was announced, milliseconds since 1970.
    pub(super) at_ms: u64,
}

/// What looking at the world tells of an announced call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// It happened; this is its answer.
    Done(Value),
    /// It did not.
    NotDone,
    /// It was begun, and is known to have failed.
    Failed(Failure),
    /// It cannot be told, or someone else changed the target: what was expected and what was seen.
    Doubt(String),
}

/// What a plan supposes.
pub(super) struct Imagined {
    /// The answer.
    pub(super) answer: Value,
    /// What people call the target.
    pub(super) target: String,
    /// What cannot be known, if the answer is only assumed.
    pub(super) assumption: Option<String>,
}

/// One host call.
pub(super) trait Call: Send + Sync {
    /// For example `containers.stop`.
    fn function(&self) -> &'static str;

    /// As recorded and compared on replay.
    fn arguments(&self) -> Value;

    /// Bytes that are kept because of it and do not stand in its arguments.
    fn kept_bytes(&self) -> usize {
        0
    }

    /// Its class.
    fn effect(&self) -> Effect {
        Effect::Read
    }

    /// What must be granted.
    fn need(&self) -> Need {
        Need::Nothing
    }

    /// How long it may take, milliseconds.
    fn time_ms(&self) -> u64 {
        limits::READ_DEADLINE_MS
    }

    /// Refuses arguments that make no sense, before anything else.
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Lets what is under way end before its time, if it can: the run is being cancelled.
    fn end_early(&self) {}

    /// How long looking whether it happened may take, milliseconds.
    fn establish_ms(&self) -> u64 {
        limits::READ_DEADLINE_MS
    }

    /// The secrets it puts somewhere.
    fn secrets(&self) -> Vec<Use> {
        Vec::new()
    }

    /// Whether a plan supposes its answer, though it only reads: where a secret would go out, or be seen.
    fn supposed(&self) -> bool {
        self.effect().writes()
    }

    /// Whether the contract lets it fail. What cannot be refused is answered even when the run is cancelled or out of time: a
    /// refusal would end the plugin before it has taken back what it did.
    fn refusable(&self) -> bool {
        true
    }

    /// Does it.
    fn perform<'a>(&'a self, world: &'a World, key: &'a Digest) -> Asked<'a>;

    /// What must be known of the target to tell later whether the call happened. Only asked of writes.
    fn before<'a>(&'a self, _world: &'a World) -> Asked<'a> {
        async { Ok(Value::Null) }.boxed()
    }

    /// Looks whether the call happened. Only asked of writes.
    fn establish<'a>(&'a self, _world: &'a World, _intent: &'a Intent) -> Asked<'a, Found> {
        async { Ok(Found::Doubt("it leaves no mark that could be looked for".to_owned())) }.boxed()
    }

    /// What the call would do, in a plan. Only asked of writes, and of what is supposed.
    fn imagine(&self, _overlay: &mut Overlay, _before: &Value, _key: &Digest) -> Result<Imagined, Failure> {
        Ok(Imagined { answer: Value::Null, target: String::new(), assumption: None })
    }

    /// The answer when a person says it was done and gives none.
    fn settled_answer<'a>(&'a self, _world: &'a World) -> Asked<'a> {
        async { Ok(Value::Null) }.boxed()
    }

    /// What changes in the log's own state tables, in the same transaction as the entry. Only asked of local calls.
    fn local(&self) -> LocalChanges {
        LocalChanges::default()
    }
}
