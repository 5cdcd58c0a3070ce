//! `runbook:secrets`: handles, and the one way to the text. Neither the answers nor the arguments hold a value.

use futures_util::future::FutureExt as _;
use serde_json::{Value, json};
use wasmtime::component::Resource;

use super::super::bindings::runbook::secrets::{plain_text, secrets as wit};
use super::super::bindings::runbook::types::types::Error;
use super::super::call::{Asked, Call, Imagined, Need};
use super::super::instance::Guest;
use super::super::limits;
use super::super::overlay::Overlay;
use super::super::secret::{Handle, Placed, SecretRef, Use};
use super::super::supposing::TO_THE_PLUGIN;
use super::super::world::World;
use model::secret_grant::SecretAction;
use words::effect::{Failure, FailureKind};
use words::ids::Digest;
use words::secret::SecretName;

/// The longest text that may pass for a name, in bytes: what is asked for is recorded.
const MAX_NAME_BYTES: usize = 128;

/// A handle of the current version.
struct Get {
    name: String,
}

impl Call for Get {
    fn function(&self) -> &'static str {
        "secrets.get"
    }

    fn arguments(&self) -> Value {
        json!({ "name": self.name.chars().take(MAX_NAME_BYTES).collect::<String>() })
    }

    fn need(&self) -> Need {
        Need::Secret { name: self.name.clone(), action: SecretAction::Use }
    }

    fn check(&self) -> Result<(), Failure> {
        let invalid = |e| Failure::new(FailureKind::Invalid, "secrets.name", format!("{e}"));
        SecretName::new(self.name.clone()).map(drop).map_err(|e: words::secret::InvalidName| invalid(e))
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move {
            let name = SecretName::new(self.name.clone()).map_err(|e| {
                super::super::call::Trouble::certain(FailureKind::Invalid, "secrets.name", e.to_string())
            })?;
            let found = world.current_secret(&name).await?;
            Ok(serde_json::to_value(found).unwrap_or(Value::Null))
        }
        .boxed()
    }
}

/// That the plugin sees the text; the text itself is no part of the call.
struct Reveal {
    secret: SecretRef,
}

impl Reveal {
    fn answer(&self) -> Value {
        serde_json::to_value(&self.secret).unwrap_or(Value::Null)
    }
}

impl Call for Reveal {
    fn function(&self) -> &'static str {
        "secrets.reveal"
    }

    fn arguments(&self) -> Value {
        self.answer()
    }

    fn need(&self) -> Need {
        Need::Secret { name: self.secret.secret.to_string(), action: SecretAction::Reveal }
    }

    fn secrets(&self) -> Vec<Use> {
        vec![Use { secret: self.secret.clone(), place: TO_THE_PLUGIN.to_owned() }]
    }

    fn supposed(&self) -> bool {
        true
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move { world.secret(&self.secret).await.map(|_| self.answer()) }.boxed()
    }

    fn imagine(&self, _overlay: &mut Overlay, _before: &Value, _key: &Digest) -> Result<Imagined, Failure> {
        let SecretRef { secret, version } = &self.secret;
        Ok(Imagined {
            answer: self.answer(),
            target: secret.to_string(),
            assumption: Some(format!(
                "what a plugin makes of the text of the secret `{secret}`, version {version}"
            )),
        })
    }
}

type Reply<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    /// What the plugin's handles stand for.
    pub(super) fn placed(&self, given: &[(String, Resource<Handle>)]) -> wasmtime::Result<Placed> {
        let one = |(place, handle): &(String, Resource<Handle>)| {
            Ok((place.clone(), self.handles().get(handle)?.0.clone()))
        };
        given.iter().map(one).collect::<wasmtime::Result<_>>().map(Placed)
    }
}

/// Too many, or two for one place.
pub(super) fn check_placed(placed: &Placed, what: &str) -> Result<(), Failure> {
    if placed.0.len() > limits::MAX_SECRETS {
        let message = format!("one call takes at most {} secrets as {what}", limits::MAX_SECRETS);
        return Err(Failure::new(FailureKind::Exhausted, "secrets.too-many", message));
    }
    for (index, (place, _)) in placed.0.iter().enumerate() {
        if placed.0[..index].iter().any(|(other, _)| other == place) {
            let message = format!("two secrets are given for `{}`", place.escape_debug());
            return Err(Failure::new(FailureKind::Invalid, "secrets.twice", message));
        }
    }
    Ok(())
}

/// Names of variables; one that is also given in plain would be in doubt.
pub(super) fn check_variables<'a>(
    placed: &Placed,
    plain: &(impl Iterator<Item = &'a str> + Clone),
) -> Result<(), Failure> {
    check_placed(placed, "environment variables")?;
    for (name, _) in &placed.0 {
        let shown = name.escape_debug();
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{shown}` is no name for an environment variable");
            return Err(Failure::new(FailureKind::Invalid, "secrets.variable", message));
        }
        if plain.clone().any(|other| other == name) {
            let message = format!("`{shown}` is given as a plain variable and as a secret");
            return Err(Failure::new(FailureKind::Invalid, "secrets.twice", message));
        }
    }
    Ok(())
}

impl wit::Host for Guest {
    async fn get(&mut self, name: String) -> Reply<Resource<Handle>> {
        Ok(match self.pass::<SecretRef>(Get { name }).await? {
            Ok(found) => Ok(self.handles_mut().push(Handle(found))?),
            Err(error) => Err(error),
        })
    }
}

impl wit::HostSecret for Guest {
    async fn name(&mut self, handle: Resource<Handle>) -> wasmtime::Result<String> {
        Ok(self.handles().get(&handle)?.0.secret.to_string())
    }

    async fn version(&mut self, handle: Resource<Handle>) -> wasmtime::Result<String> {
        Ok(self.handles().get(&handle)?.0.version.to_string())
    }

    async fn drop(&mut self, handle: Resource<Handle>) -> wasmtime::Result<()> {
        self.handles_mut().delete(handle)?;
        Ok(())
    }
}

impl plain_text::Host for Guest {
    async fn reveal(&mut self, handle: Resource<Handle>) -> Reply<String> {
        let secret = self.handles().get(&handle)?.0.clone();
        match self.pass::<SecretRef>(Reveal { secret }).await? {
            Ok(revealed) => self.text_of(&revealed).await.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }
}
