//! What a plan does instead of acting: it supposes an answer and lays what would have changed over the world.

use serde_json::Value;

use super::call::{Call, Imagined};
use super::context::lock;
use super::door::{Answered, Door};
use super::overlay::{ImaginedWrite, Overlay, PlannedSecret};
use model::unknown::holds_unknown;
use run::event::{CallId, Event};
use secrets::scrub;
use words::effect::{Failure, FailureKind};

/// Where a secret goes that a plugin asks the text of.
pub(super) const TO_THE_PLUGIN: &str = "the plugin, in plain text";

impl Door {
    pub(super) async fn suppose(&self, call: &dyn Call, id: &CallId, arguments: Value) -> Answered {
        if call.effect().writes() {
            return self.imagine(call, id, arguments).await;
        }
        let granted = self.granted(call).await.map_err(|failure| self.unless_unknown(call, failure));
        let supposed = granted.and_then(|_| self.imagined(call, id, &Value::Null));
        self.finish_unannounced(call, id.clone(), arguments, supposed.map(|imagined| imagined.answer))
    }

    async fn imagine(&self, call: &dyn Call, id: &CallId, arguments: Value) -> Answered {
        // As in a run: what is refused before it is announced has its place among the calls, too.
        let refused = |failure| self.finish_unannounced(call, id.clone(), arguments.clone(), Err(failure));
        let _leave = match self.granted(call).await {
            Ok(leave) => leave,
            Err(failure) => return refused(self.unless_unknown(call, failure)),
        };
        let before = match self.bounded(call.before(&self.context.world)).await {
            Ok(before) => scrub::document(before),
            Err(trouble) => return refused(trouble.failure),
        };
        let key = self.context.write_key(&id.path, call.function(), &arguments);
        let imagined = call.imagine(&mut lock(self.overlay()), &before, &self.context.key(id));
        let imagined = match imagined {
            Ok(imagined) => imagined,
            Err(failure) => return refused(failure),
        };
        self.context.ledger.record(&Event::CallIntended {
            call: id.clone(),
            function: call.function().to_owned(),
            arguments: arguments.clone(),
            effect: call.effect(),
            before: before.clone(),
        })?;
        // Not before: the ledger asks the overlay for the time.
        let mut overlay = lock(self.overlay());
        overlay.push_write(ImaginedWrite {
            path: id.path.clone(),
            function: call.function().to_owned(),
            target: scrub::string(imagined.target.clone()),
            arguments,
            before,
            certain: true,
            key,
            seen: Value::Null,
        });
        list(&mut overlay, call, id, &imagined);
        drop(overlay);
        self.finish(call, id.clone(), Ok(imagined.answer), None)
    }

    fn imagined(&self, call: &dyn Call, id: &CallId, before: &Value) -> Result<Imagined, Failure> {
        let mut overlay = lock(self.overlay());
        let imagined = call.imagine(&mut overlay, before, &self.context.key(id))?;
        list(&mut overlay, call, id, &imagined);
        Ok(imagined)
    }

    /// Why a call is refused that asks for something unknown: nobody can say whether it would be.
    fn unless_unknown(&self, call: &dyn Call, failure: Failure) -> Failure {
        if holds_unknown(&call.arguments()) { self.cannot_be_known(call) } else { failure }
    }

    /// The answer to a call about something that is not known before the run.
    pub(super) fn cannot_be_known(&self, call: &dyn Call) -> Failure {
        self.rests_on_unknown();
        let message = format!("what `{}` is asked for cannot be known before the run", call.function());
        Failure::new(FailureKind::Invalid, "plan.unknown", message)
    }

    /// What the plugin makes of it cannot be known.
    pub(super) fn rests_on_unknown(&self) {
        lock(self.overlay()).suppose();
    }

    fn overlay(&self) -> &std::sync::Mutex<Overlay> {
        let Some(overlay) = self.context.world.overlay() else { unreachable!("a plan has an overlay") };
        overlay
    }
}

/// What a call rests on, and the secrets it puts somewhere.
fn list(overlay: &mut Overlay, call: &dyn Call, id: &CallId, imagined: &Imagined) {
    for used in call.secrets() {
        overlay.put_secret(PlannedSecret {
            path: id.path.clone(),
            secret: used.secret.secret.to_string(),
            version: used.secret.version.to_string(),
            revealed: used.place == TO_THE_PLUGIN,
            place: used.place,
        });
    }
    if let Some(assumption) = &imagined.assumption {
        overlay.suppose();
        overlay.assume(scrub::string(assumption.clone()));
    }
}
