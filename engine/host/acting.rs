//! What is done about a call that was announced: it is made, and where its answer proves nothing, the world is looked at.

use std::time::Duration;

use serde_json::Value;

use super::call::{Call, Found, Intent, Trouble};
use super::context::Stop;
use super::door::{Answered, Door, cancelled};
use super::limits;
use super::patience::{Patience, silent};
use docker::{EXEC_ENDED, is_away};
use run::event::{CallId, Established};
use words::clock;
use words::effect::{Effect, Failure};

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
            let (failure, certain) = match self.send(call, intent).await? {
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
                    Some(failure) => return self.failed(call, id, intent, (failure, how)),
                }
            }
            match self.establish(call, intent, &mut patience).await? {
                Found::Done(answer) => {
                    let outcome = self.after_command(call, intent, answer).await;
                    return self.finish(call, id, outcome, Some(Established::Adopted));
                }
                Found::Doubt(message) => return self.doubt(id, message).await,
                Found::Failed(failure) => {
                    return self.failed(call, id, intent, (failure, Some(Established::Adopted)));
                }
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

    /// Sends the request and waits for its answer. A cancel lets it end early, if it can. An engine that must end at once does
    /// not wait: another one establishes what came of it.
    async fn send(&self, call: &dyn Call, intent: &Intent) -> Result<Result<Value, Trouble>, Stop> {
        let limit = Duration::from_millis(call.time_ms().saturating_add(limits::CALL_MARGIN_MS));
        words::fault::point("door.before-act");
        let answered = self
            .attended(
                call,
                || self.stopped_at_once(),
                clock::within(limit, call.perform(&self.context.world, &intent.key)),
            )
            .await?
            .unwrap_or_else(|_| Err(Trouble { failure: silent(call, limit), certain: false }));
        words::fault::point("door.after-act");
        Ok(answered)
    }

    /// Waits for what is under way and hears the wishes of people meanwhile.
    async fn attended<T>(
        &self,
        call: &dyn Call,
        stops: impl Fn() -> Option<Stop>,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let mut wishes = self.context.control.wishes();
        tokio::pin!(work);
        loop {
            if self.held_back(call) {
                call.end_early();
            }
            if let Some(stop) = stops() {
                return Err(stop);
            }
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                Ok(()) = wishes.changed() => {}
            }
        }
    }

    /// A call that was made and failed; a command has run all the same.
    fn failed(
        &self,
        call: &dyn Call,
        id: CallId,
        intent: &Intent,
        (failure, how): (Failure, Option<Established>),
    ) -> Answered {
        if failure.code == EXEC_ENDED {
            self.recall_command(call, &intent.before);
        }
        self.finish(call, id, Err(failure), how)
    }

    /// Whether nothing forbids to act on what was announced: it stays announced, and is established later.
    fn may_act(&self) -> Result<(), Stop> {
        if let Some(stop) = self.stopped() {
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
            let limit = Duration::from_millis(call.establish_ms());
            let looked = self.bounded_by(limit, call.establish(&self.context.world, intent));
            match self.attended(call, || self.stops_establishing(call), looked).await? {
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
            Found::Failed(failure) => self.failed(call, id, intent, (failure, Some(Established::Adopted))),
            Found::NotDone if self.held_back(call) => self.finish(call, id, Err(cancelled()), None),
            Found::NotDone => {
                self.may_act()?;
                self.act(call, id, intent, Some(Established::Redone)).await
            }
        }
    }
}
