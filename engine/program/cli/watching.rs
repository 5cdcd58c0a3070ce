//! Watching a run until it rests: shows it, passes on a person's answers, and what their Ctrl-C means.

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::context::Context;
use super::feed::Feed;
use super::follow::{Follower, Happening, Standing};
use super::patience::LOOK;
use super::render::{story, tree};
use super::session::Session;
use super::signals::{Signals, Told};
use crate::error::{Error, Kind};
use executor::WAITS;
use executor::request::Command;
use model::step_type::Catalogue;
use run::question::Answer;
use run::view::StepView;
use words::clock::{self, Deadline};
use words::ids::RunId;

/// Between two looks at the log of another process.
const PAUSE: Duration = Duration::from_millis(50);

/// A tree is drawn at most this often.
const FRAME: Duration = Duration::from_millis(100);

/// Between two looks whether there still is an engine.
const REVIVE_EVERY: Duration = Duration::from_secs(2);

/// A command that was told to end (`TERM`, `HUP`) waits so long for its run to rest. Those who run it tend to kill it after ten.
const TERMINATE_PATIENCE: Duration = Duration::from_secs(8);

/// A command that was interrupted, with nobody to ask what is to become of the run, waits so long for it to come to a safe point.
const INTERRUPT_PATIENCE: Duration = Duration::from_secs(30);

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Display {
    /// Redrawn in place.
    Tree,
    /// A line per thing that happens.
    Lines,
    /// A JSON document per entry.
    Documents,
    /// Not at all, until it rests.
    Nothing,
}

impl Display {
    /// As the output allows.
    pub(crate) fn of(context: &Context) -> Self {
        if context.out.is_json() {
            Self::Nothing
        } else if context.out.can_redraw() {
            Self::Tree
        } else {
            Self::Lines
        }
    }
}

/// One run, one watcher.
pub(crate) struct Watching<'a> {
    context: &'a Context,
    session: &'a Session<'a>,
    feed: Feed,
    follower: Follower,
    catalogue: Catalogue,
    display: Display,
    said: tree::Said,
    story: story::Story,
    drawn: usize,
    last_frame: Instant,
    /// A line a person types; at most one is waited for.
    typing: JoinSet<Option<String>>,
    asked: Asked,
    /// Whether Ctrl-C is about the run or only about watching it.
    owner: bool,
    /// Once it was interrupted: until when this command waits for the run to come to a safe point.
    interrupted: Option<Deadline>,
    /// Once it was told to end: until when this command waits for the run to rest.
    terminated: Option<Deadline>,
}

/// What the person was asked last.
#[derive(Debug, Clone, PartialEq)]
enum Asked {
    Nothing,
    Step(Box<StepView>),
    /// After Ctrl-C: what is to become of it.
    Interrupted,
}

impl<'a> Watching<'a> {
    pub(crate) fn new(
        context: &'a Context,
        session: &'a Session<'a>,
        run: RunId,
        display: Display,
    ) -> Result<Self, Error> {
        Ok(Self {
            context,
            session,
            feed: session.feed(),
            follower: Follower::new(&context.settings()?.data.path, run)?,
            catalogue: context.catalogue()?,
            display,
            said: tree::Said::default(),
            story: story::Story::default(),
            drawn: 0,
            last_frame: Instant::now(),
            typing: JoinSet::new(),
            asked: Asked::Nothing,
            owner: true,
            interrupted: None,
            terminated: None,
        })
    }

    /// Only looks on: Ctrl-C leaves the run alone.
    pub(crate) fn looking_on(self) -> Self {
        Self { owner: false, ..self }
    }

    /// Until it is over, left, or only a person's decision helps.
    pub(crate) async fn until_rest(mut self, run: &RunId, signals: &mut Signals) -> Result<Follower, Error> {
        let (mut revived, mut looked) = (Instant::now(), Instant::now());
        loop {
            let happenings = self.follower.read(&self.catalogue)?;
            let fresh = !happenings.is_empty();
            self.show(happenings);
            self.draw(fresh);
            if self.rests() {
                self.draw(true);
                self.session.followed(run);
                return Ok(self.follower);
            }
            if let Some(failure) = self.session.failure() {
                return Err(failure);
            }
            self.give_up(run)?;
            self.ask();
            tokio::select! {
                () = self.feed.next(PAUSE) => {}
                Some(line) = self.typing.join_next() => self.answered(run, line.ok().flatten()).await?,
                told = signals.next() => self.told(run, told, signals).await?,
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.session.look_whether_stopped();
            }
            if revived.elapsed() >= REVIVE_EVERY {
                revived = Instant::now();
                self.revive(run, signals).await?;
            }
        }
    }

    /// Sees to it that somebody carries the run on. Not once this command was told to end: whoever ends them all means the engine.
    async fn revive(&mut self, run: &RunId, signals: &mut Signals) -> Result<(), Error> {
        if self.terminated.is_some() || self.follower.standing() != Standing::Moving {
            return Ok(());
        }
        tokio::select! {
            revived = self.session.revive(run) => revived,
            told = signals.next() => self.told(run, told, signals).await,
        }
    }

    /// Waits no longer once it was asked to stop, and nothing has come of it.
    fn give_up(&self, run: &RunId) -> Result<(), Error> {
        if self.terminated.is_some_and(Deadline::passed) {
            return Err(self.goes_on(run));
        }
        if self.asked != Asked::Interrupted && self.interrupted.is_some_and(Deadline::passed) {
            return Err(stops_later(run));
        }
        Ok(())
    }

    fn rests(&self) -> bool {
        match self.follower.standing() {
            Standing::Over => true,
            Standing::Left => self.asked != Asked::Interrupted,
            Standing::InDoubt => nothing_moves(&self.follower.view().steps),
            Standing::Moving | Standing::Asking => false,
        }
    }

    fn show(&mut self, happenings: Vec<Happening>) {
        let out = &self.context.out;
        for happening in happenings {
            match (self.display, happening) {
                (Display::Lines, Happening::Entry(entry, event)) => {
                    if let Some(line) = self.story.line(entry.time_ms, &event, out.paint) {
                        out.line(line);
                    }
                }
                (Display::Lines, Happening::Note(kept)) => {
                    out.line(story::note(
                        kept.time_ms,
                        &kept.note.path.to_string(),
                        &kept.note.text,
                        out.paint,
                    ));
                }
                (Display::Documents, Happening::Entry(entry, _)) => out.json_line(&entry),
                (Display::Documents, Happening::Note(note)) => out.json_line(&note),
                (Display::Tree | Display::Nothing, Happening::Note(kept)) if kept.note.level == WAITS => {
                    self.context.out.talk(&kept.note.text);
                    self.drawn = 0;
                }
                (Display::Tree, Happening::Note(kept)) => {
                    self.said.push(&kept.note.path.to_string(), &kept.note.text);
                }
                (Display::Tree, Happening::Entry(_, event)) => {
                    if let Some((path, words)) = self.story.deed(&event) {
                        self.said.push(&path, &words);
                    }
                }
                (Display::Nothing, _) => {}
            }
        }
    }

    fn draw(&mut self, now: bool) {
        let due = self.last_frame.elapsed() >= FRAME;
        if self.display != Display::Tree || self.asked != Asked::Nothing || !(due || (now && self.rests())) {
            return;
        }
        self.last_frame = Instant::now();
        let out = &self.context.out;
        let canvas = tree::Canvas {
            paint: out.paint,
            width: out.width(),
            height: out.height(),
            now_ms: clock::now_ms(),
        };
        let rows = tree::rows(&self.follower.view(), &self.said, canvas);
        out.redraw(self.drawn, &rows);
        self.drawn = rows.len();
    }

    /// Asks what a step wants to know, if this person may answer it.
    fn ask(&mut self) {
        if !self.context.out.can_ask()
            || self.asked == Asked::Interrupted
            || self.terminated.is_some()
            || self.display == Display::Documents
        {
            return;
        }
        let view = self.follower.view();
        let question = view.steps.into_iter().find(|step| self.may_answer(step));
        match question {
            Some(step) if self.asked == Asked::Nothing => {
                let question =
                    step.waiting.as_ref().map(|question| question.text.clone()).unwrap_or_default();
                let how = if step.waiting.as_ref().is_some_and(|question| question.evidence) {
                    "what shows it, empty for no:"
                } else {
                    "[y/N]"
                };
                self.put(&format!("{}: {} {how}", step.path, crate::error::printable(&question)));
                self.asked = Asked::Step(Box::new(step));
            }
            None if self.asked != Asked::Nothing => {
                self.context.out.talk("answered elsewhere");
                self.asked = Asked::Nothing;
            }
            _ => {}
        }
    }

    fn may_answer(&self, step: &StepView) -> bool {
        let actor = self.context.settings().map(|settings| settings.actor.clone()).unwrap_or_default();
        step.status == "waiting" && step.waiting.as_ref().is_some_and(|question| question.may_answer(&actor))
    }

    /// Shows a question below what is drawn and waits for a line, unless one is waited for already.
    fn put(&mut self, question: &str) {
        let out = &self.context.out;
        out.talk_raw(&format!("{} ", out.talk_paint.bold(question)));
        self.drawn = 0;
        if self.typing.is_empty() {
            self.typing.spawn_blocking(|| {
                let mut line = String::new();
                let read = std::io::stdin().read_line(&mut line).ok()?;
                (read > 0).then(|| line.trim().to_owned())
            });
        }
    }

    async fn answered(&mut self, run: &RunId, line: Option<String>) -> Result<(), Error> {
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Nothing => Ok(()),
            Asked::Step(step) => {
                let Some(line) = line else {
                    // The terminal is gone: whoever may answer does so from elsewhere.
                    if !std::io::stdin().is_terminal() {
                        self.terminated = Some(Deadline::after(TERMINATE_PATIENCE));
                    }
                    return Ok(());
                };
                let evidence = step.waiting.as_ref().is_some_and(|question| question.evidence);
                let by = self.context.settings()?.actor.clone();
                let answer = if evidence {
                    Answer { yes: !line.is_empty(), text: Some(line).filter(|line| !line.is_empty()), by }
                } else {
                    let Some(yes) = understood(&line) else {
                        // An answer is for good: what is not understood is asked again.
                        self.context.out.talk("answer `y` or `n`");
                        return Ok(());
                    };
                    Answer { yes, text: None, by }
                };
                self.command(run, Command::Answer { path: Some(step.path), answer }).await
            }
            Asked::Interrupted => match line.as_deref().map(str::to_lowercase).as_deref() {
                Some("c" | "continue") => {
                    self.interrupted = None;
                    self.command(run, Command::Resume).await
                }
                Some("u" | "undo") => {
                    let reason = "interrupted by a person".to_owned();
                    self.command(run, Command::Cancel { reason, undo: true }).await
                }
                _ => Ok(()),
            },
        }
    }

    /// Someone was quicker, or it ended meanwhile: not an error of the one who watches.
    async fn command(&self, run: &RunId, command: Command) -> Result<(), Error> {
        match self.session.command(run, command).await {
            Err(error) if matches!(error.kind, Kind::Conflict | Kind::NotFound) => {
                self.context.out.warning(&error.message);
                Ok(())
            }
            other => other,
        }
    }

    async fn told(&mut self, run: &RunId, told: Told, signals: &mut Signals) -> Result<(), Error> {
        if self.interrupted.is_some() || told == Told::Terminate {
            self.session.hurry();
        }
        match told {
            Told::Terminate if self.owner && self.terminated.is_none() => {
                self.terminated = Some(Deadline::after(TERMINATE_PATIENCE));
                Ok(())
            }
            Told::Terminate => Err(self.goes_on(run)),
            Told::Interrupt if !self.owner => Err(left(run)),
            Told::Interrupt if self.interrupted.is_some() => Err(stops_later(run)),
            Told::Interrupt => {
                self.interrupted = Some(Deadline::after(INTERRUPT_PATIENCE));
                let leave = Command::Leave { reason: "interrupted by a person".to_owned() };
                tokio::select! {
                    sent = self.command(run, leave) => sent?,
                    told = signals.next() => return Err(match told {
                        Told::Interrupt => unheard(run),
                        Told::Terminate => self.goes_on(run),
                    }),
                }
                self.ask_what_becomes_of_it();
                Ok(())
            }
        }
    }

    fn ask_what_becomes_of_it(&mut self) {
        if self.context.out.can_ask() {
            self.context.out.talk("\nIt stops at the next safe point.");
            self.put("[c]ontinue, [u]ndo what was done and end, or [L]eave it to be resumed?");
            self.asked = Asked::Interrupted;
        } else {
            self.context.out.talk("it stops at the next safe point; once more leaves it at once");
        }
    }

    /// This command ends before its run does.
    fn goes_on(&self, run: &RunId) -> Error {
        let engine = self.session.engine().filter(|_| !self.feed.is_leaving());
        match (engine, &self.interrupted) {
            (Some(_), Some(_)) => Error { kind: Kind::Terminated, ..stops_later(run) },
            (Some(engine), None) => {
                let words =
                    format!("run `{run}` goes on without this command, in the engine, process {engine}");
                Error::new(Kind::Terminated, words).hint(format!(
                    "`runbook runs watch {run}` follows it, `runbook runs cancel {run}` ends it"
                ))
            }
            (None, _) => {
                let words = format!("run `{run}` is not over, and its engine does not carry it on");
                Error::new(Kind::Terminated, words).hint(format!(
                    "`runbook runs resume {run}` carries it on, and so does the next command that needs an engine"
                ))
            }
        }
    }
}

/// A clear yes or no; nothing typed is a no, as the question says.
fn understood(line: &str) -> Option<bool> {
    match line.to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "" | "n" | "no" => Some(false),
        _ => None,
    }
}

fn left(run: &RunId) -> Error {
    Error::new(Kind::Interrupted, format!("left run `{run}` as it is"))
        .hint(format!("`runbook runs watch {run}` attaches again"))
}

/// The run was asked to stop, and this command does not wait for it.
fn stops_later(run: &RunId) -> Error {
    Error::new(
        Kind::Interrupted,
        format!("run `{run}` stops at its next safe point; this command does not wait for it"),
    )
    .hint(format!("`runbook runs watch {run}` follows it, `runbook runs resume {run}` carries it on"))
}

/// The engine was asked to stop the run, and had not answered.
fn unheard(run: &RunId) -> Error {
    Error::new(Kind::Interrupted, format!("the engine did not say that run `{run}` stops"))
        .hint(format!("`runbook runs show {run}` tells how it is, `runbook runs cancel {run}` ends it"))
}

/// Whether no step is under way. One with items is so as long as one of them is in doubt: then the items tell.
fn nothing_moves(steps: &[StepView]) -> bool {
    let of_items = |step: &StepView| {
        step.path.item.is_none()
            && steps.iter().any(|other| other.path.item.is_some_and(|item| step.path.at(item) == other.path))
    };
    steps.iter().all(|step| step.status != "running" || of_items(step))
}

#[cfg(test)]
mod tests {
    use super::understood;

    #[test]
    fn only_a_clear_word_is_an_answer() {
        let answers = ["Y", "yes", "n", "", "yes please", "x"].map(understood);
        assert_eq!(answers, [Some(true), Some(true), Some(false), Some(false), None, None]);
    }
}
