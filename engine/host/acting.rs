//! What is done about a call that was announced: it is made, and where its answer proves nothing, the world is looked at.

use std::time::Duration;

use serde_json::Value;

use super::call::{Call, Found, Intent, Trouble};
use super::context::Stop;
use super::door::{Answered, Door, cancelled};
use super::limits;
use super::patience::{Patience, silent};
use crate::clock;
use crate::containers::is_away;
use crate::model::effect::Effect;
use crate::run::event::{CallId, Established};

impl Door {
    /// Acts on an announced call. The request is never dropped half-way; an error that does not prove that nothing
    /// happened is established. If the daemon was away and nothing happened, the request is sent again.
    pub(super) async fn act(
        &self,
        call: &dyn Call,
        id: CallId,
        intent: &Intent,
        mut how: Option<Established>,
    ) -> Answered {
        let mut patience = Patience::default();
        loop {
            let (failure, certain) = match self.send(call, intent).await {
                Ok(answer) => {
                    let outcome = self.after_command(call, intent, answer).await;
                    return self.finish(call, id, outcome, how);
                }
                Err(Trouble { failure, certain }) => (failure, certain),
            };
            if certain && (!is_away(&failure) || call.effect() == Effect::Once) {
                // Nothing was sent, so that nothing need be established either.
                match self.bear(call, failure, &mut patience).await? {
                    None => continue,
                    Some(failure) => return self.finish(call, id, Err(failure), how),
                }
            }
            match self.establish(call, intent, &mut patience).await? {
                Found::Done(answer) => {
                    let outcome = self.after_command(call, intent, answer).await;
                    return self.finish(call, id, outcome, Some(Established::Adopted));
                }
                Found::Doubt(message) => return self.doubt(id, message).await,
                Found::NotDone => {}
            }
            if !self.sends_again(&failure, &mut patience).await {
                return self.finish(call, id, Err(failure), None);
            }
            if self.held_back(call) {
                return self.finish(call, id, Err(cancelled()), None);
            }
            self.may_act()?;
            how = Some(Established::Redone);
        }
    }

    async fn send(&self, call: &dyn Call, intent: &Intent) -> Result<Value, Trouble> {
        let limit = Duration::from_millis(call.time_ms().saturating_add(limits::CALL_MARGIN_MS));
        super::fault_point("door.before-act");
        let answered = clock::within(limit, call.perform(&self.context.world, &intent.key)).await;
        super::fault_point("door.after-act");
        answered.unwrap_or_else(|_| Err(Trouble { failure: silent(call, limit), certain: false }))
    }

    /// Whether nothing forbids to act on what was announced: it stays announced, and is established later.
    fn may_act(&self) -> Result<(), Stop> {
        if let Some(stop) = self.context.control.stopped() {
            return Err(stop);
        }
        self.context.halt.reason().map_or(Ok(()), |reason| Err(Stop::Halted(reason)))
    }

    /// Finds out whether an announced call happened.
    async fn establish(
        &self,
        call: &dyn Call,
        intent: &Intent,
        patience: &mut Patience,
    ) -> Result<Found, Stop> {
        loop {
            match self.bounded(call.establish(&self.context.world, intent)).await {
                Ok(found) => return Ok(found),
                Err(trouble) => self.bear_blindness(call, &trouble, patience).await?,
            }
        }
    }

    /// Carries on with a call that an earlier engine announced: what did not happen is done now.
    pub(super) async fn resume(&self, call: &dyn Call, id: CallId, intent: &Intent) -> Answered {
        match self.establish(call, intent, &mut Patience::default()).await? {
            Found::Done(answer) => {
                let outcome = self.after_command(call, intent, answer).await;
                self.finish(call, id, outcome, Some(Established::Adopted))
            }
            Found::Doubt(message) => self.doubt(id, message).await,
            Found::NotDone if self.held_back(call) => self.finish(call, id, Err(cancelled()), None),
            Found::NotDone => {
                self.may_act()?;
                self.act(call, id, intent, Some(Established::Redone)).await
            }
        }
    }
}
