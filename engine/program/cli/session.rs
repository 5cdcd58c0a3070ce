//! Whom a command asks: the engine of the data directory, which it begins if there is none.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::context::Context;
use super::feed::Feed;
use super::guard;
use super::launch::Launch;
use super::line::{Line, Order, Word};
use super::patience::{self, Wait};
use crate::api::client::{Client, Conversation, Unanswered};
use crate::error::{Error, Kind};
use audit::{DATABASE_FILE, StateChange};
use executor::request::{Command, Plan, Request};
use executor::{Refusal, emergency, lock_file};
use words::clock;
use words::ids::RunId;

/// A greeting older than this is no longer relied upon.
const FRESH: Duration = Duration::from_secs(1);

/// So long a command waits for the engine that it began to end, once nobody needs it any more: what comes next finds nobody there.
const GOODBYE: Duration = Duration::from_secs(5);

/// The same of one that was told to end itself.
const HURRIED_GOODBYE: Duration = Duration::from_millis(300);

/// Whom a command asks.
pub(crate) struct Session<'c> {
    context: &'c Context,
    client: Client,
    launch: Launch,
    /// A remark for entries that this command writes: who called `sudo`, as the environment claims.
    sudo_user: Option<String>,
    /// The conversation that showed that an engine is there, for the first question.
    greeted: RefCell<Option<(Instant, Conversation)>>,
    /// To the engine that this command began.
    line: RefCell<Option<Line<Word>>>,
    /// Why that one does nothing more.
    failed: RefCell<Option<Error>>,
    /// The run that this command has followed to its rest.
    followed: RefCell<Option<RunId>>,
    /// Whether this command was told to end.
    hurries: Cell<bool>,
    /// Whether a person was told that the engine is stopped.
    told_stopped: Cell<bool>,
}

impl<'c> Session<'c> {
    /// Finds the engine, or begins it.
    pub(crate) async fn open(context: &'c Context) -> Result<Self, Error> {
        let session = Self::onlooker(context)?;
        context.settings()?.data.ensure()?;
        session.find().await?;
        Ok(session)
    }

    /// Whoever is the engine, if anybody is; begins none yet.
    pub(crate) fn onlooker(context: &'c Context) -> Result<Self, Error> {
        let settings = context.settings()?;
        Ok(Self {
            context,
            client: Client::new(&settings.data.path),
            launch: Launch::of(context, settings),
            sudo_user: settings.sudo_user.clone(),
            greeted: RefCell::default(),
            line: RefCell::default(),
            failed: RefCell::default(),
            followed: RefCell::default(),
            hurries: Cell::default(),
            told_stopped: Cell::default(),
        })
    }

    /// Accepts a run. One with a dedupe key is asked for again where the answer was lost: it is the same run.
    pub(crate) async fn submit(&self, request: &Request) -> Result<RunId, Error> {
        self.ask(request.dedupe.is_some(), async |engine| engine.submit(request).await).await
    }

    /// What a run would do. Changes nothing.
    pub(crate) async fn plan(&self, request: &Request) -> Result<Plan, Error> {
        self.ask(true, async |engine| engine.plan(request).await).await
    }

    /// Passes a command on to a run.
    pub(crate) async fn command(&self, run: &RunId, command: Command) -> Result<(), Error> {
        let ask = async |engine: Conversation| engine.command(run, command.clone()).await;
        self.ask(false, ask).await
    }

    /// Sets the halt switch. To halt twice is to halt.
    pub(crate) async fn halt(&self, on: bool, reason: &str) -> Result<(), Error> {
        self.ask(on, async |engine: Conversation| engine.halt(on, reason).await).await
    }

    /// Writes down something that belongs to no run.
    pub(crate) async fn fact(
        &self,
        kind: &str,
        mut data: Value,
        state: Vec<StateChange>,
    ) -> Result<(), Error> {
        if let (Some(remark), Some(data)) = (&self.sudo_user, data.as_object_mut()) {
            data.insert("sudo_user".to_owned(), Value::from(remark.as_str()));
        }
        let ask = async |engine: Conversation| engine.fact(kind, data.clone(), state.clone()).await;
        self.ask(false, ask).await
    }

    /// What the engine tells as soon as it has written something down.
    pub(crate) fn feed(&self) -> Feed {
        Feed::of(self.client.clone())
    }

    /// This command has followed a run to its rest: as far as it goes, the engine may end.
    pub(crate) fn followed(&self, run: &RunId) {
        *self.followed.borrow_mut() = Some(run.clone());
    }

    /// Why the engine does nothing more, if it does not: its log has failed, or an emergency has fenced it.
    pub(crate) fn failure(&self) -> Option<Error> {
        if let Some(Word::Failed(error)) = self.line.borrow_mut().as_mut().and_then(Line::heard) {
            *self.failed.borrow_mut() = Some(error);
        }
        let failed = self.failed.borrow().clone();
        failed.or_else(|| emergency::is_closed(&self.launch.data_dir).then(|| Refusal::Fenced.into()))
    }

    /// The process that is the engine, if any is.
    pub(crate) fn engine(&self) -> Option<u32> {
        lock_file::is_held(&self.launch.data_dir).then(|| lock_file::holder(&self.launch.data_dir)).flatten()
    }

    /// If nobody is the engine any more, begins one that carries on what is unfinished. Not where the log is gone: it would begin
    /// with an empty one.
    pub(crate) async fn revive(&self, run: &RunId) -> Result<(), Error> {
        let dir = &self.launch.data_dir;
        if !dir.join(DATABASE_FILE).exists() {
            let shown = dir.display();
            let words = format!(
                "the audit log in `{shown}` was removed or moved while run `{run}` was carried out: nobody carries it on"
            );
            return Err(Error::new(Kind::Directory, words).hint(format!(
                "look at the containers; put the directory back, and `runbook runs resume {run}` carries it on"
            )));
        }
        if lock_file::is_held(dir) { Ok(()) } else { self.begin().await.map(drop) }
    }

    /// Tells the engine that this command began that it is done; waits until it has ended, unless it has others to carry out.
    pub(crate) async fn close(self) {
        let Some(mut line) = self.line.take() else { return };
        // An engine that ends waits for those who are about to ask it something.
        drop(self.greeted.take());
        let patience = if self.hurries.get() { HURRIED_GOODBYE } else { GOODBYE };
        line.say(&Order::Done { followed: self.followed.take() }).await;
        if lock_file::stopped_holder(&self.launch.data_dir).is_none() {
            let _ = clock::within(patience, line.hear()).await;
        }
    }

    /// From now on this command waits no longer than it must.
    pub(crate) fn hurry(&self) {
        self.hurries.set(true);
    }

    /// Until an engine is there that takes requests.
    async fn find(&self) -> Result<(), Error> {
        let mut wait = Wait::new(&self.launch.data_dir);
        loop {
            if lock_file::is_held(&self.launch.data_dir) {
                if self.watched(self.greet(&mut wait)).await? {
                    return Ok(());
                }
            } else if self.begin().await? {
                continue;
            }
            self.look_whether_stopped();
            wait.pause().await?;
        }
    }

    /// Whether an engine is there that takes requests; then it is remembered for the first question.
    async fn greet(&self, wait: &mut Wait<'_>) -> Result<bool, Error> {
        let Some(conversation) = self.client.greet().await? else { return Ok(false) };
        wait.heard();
        if conversation.health.leaving {
            return Ok(false);
        }
        self.greeted.replace(Some((Instant::now(), conversation)));
        Ok(true)
    }

    /// Begins an engine and waits for its word; whether it is ready.
    async fn begin(&self) -> Result<bool, Error> {
        let launched = self.context.early().map_or_else(|| self.launch.begin(), Ok)?;
        let (mut line, mut process) = launched.go().await?;
        let word = self.watched(line.hear()).await;
        match word {
            Some(Word::Ready { aside }) => {
                guard::warn_if_blind(self.context, "recorded");
                for one in aside {
                    let run = one.run;
                    let warning = format!("run `{run}` is set aside, since it cannot be read: {}", one.why);
                    self.context.out.warning(&warning);
                    self.context.out.hint(&format!("`runbook runs show {run}` tells what to do about it"));
                }
                self.line.replace(Some(line));
                Ok(true)
            }
            Some(Word::Failed(error)) => Err(error),
            // Another was quicker.
            Some(Word::Busy | Word::Stays) => Ok(false),
            None => match process.wait() {
                // Somebody ended it; the next may fare better.
                Ok(status) if status.code().is_none() => Ok(false),
                Ok(status) => {
                    Err(Error::internal(format!("the engine ended before it was ready ({status})"))
                        .hint("`runbook engine -v` in its place tells more"))
                }
                Err(error) => Err(Error::internal(format!("cannot learn how the engine ended: {error}"))),
            },
        }
    }

    async fn conversation(&self) -> Result<Conversation, Error> {
        loop {
            let greeted = self.greeted.take();
            match greeted {
                Some((at, conversation)) if at.elapsed() < FRESH => return Ok(conversation),
                _ => self.find().await?,
            }
        }
    }

    /// Asks the engine, and the one that follows it where the first has done nothing; `again`, also where it may have.
    async fn ask<T>(
        &self,
        again: bool,
        question: impl AsyncFn(Conversation) -> Result<T, Unanswered>,
    ) -> Result<T, Error> {
        let mut wait = Wait::new(&self.launch.data_dir);
        loop {
            let conversation = self.conversation().await?;
            match self.watched(question(conversation)).await {
                Err(Unanswered::Leaving) => wait.heard(),
                Err(Unanswered::Broken(_)) if again => {}
                answered => return Ok(answered?),
            }
            wait.pause().await?;
        }
    }

    /// Waits for the engine, and says at once if it is stopped.
    async fn watched<T>(&self, answer: impl Future<Output = T>) -> T {
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = tokio::time::sleep(patience::LOOK) => self.look_whether_stopped(),
            }
        }
    }

    /// Says once if the engine is stopped.
    pub(crate) fn look_whether_stopped(&self) {
        let stopped = lock_file::stopped_holder(&self.launch.data_dir);
        if let Some(pid) = stopped
            && !self.told_stopped.get()
        {
            self.context.out.warning(&format!(
                "the engine, process {pid}, is stopped: it does nothing and answers nobody"
            ));
            self.context.out.hint(&format!("`kill -CONT {pid}` lets it go on; {}", patience::EMERGENCY));
        }
        self.told_stopped.set(stopped.is_some());
    }
}
