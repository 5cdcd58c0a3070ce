//! What a run would do: the same run machine and the same plugins over the real world seen through an overlay, with a
//! journal in memory and virtual time. Changes nothing.

mod unknown;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::acceptance::{Parent, Prepared, child_request};
use super::journal::{Sketch, failed};
use super::performing::{checked, split_uses};
use super::reach::Reach;
use super::refusal::Refusal;
use super::request::{NOT_PLANNED, Plan, PlannedStep, PlannedWrite, Request};
use host::{
    Attempt, HaltSwitch, ImaginedWrite, Mode, Overlay, Performed, RunContext, RunParts, Site, Stop, lasting,
    perform,
};
use model::runbook::Runbook;
use model::unknown::{holds_unknown, unknown};
use run::event::{EndStatus, Event, HeldWrite, Outcome, PlannedWrites};
use run::next::{Action, Ended, InFlight, Perform, StartChild, child_outcome, finish, next};
use run::question::{Answer, Question};
use run::state::{End, State};
use words::clock;
use words::effect::FailureKind;
use words::ids::{Digest, RunId, RunbookName, Section, StepPath};

/// The most attempts of one plan, those of child runbooks included.
pub const MAX_PLANNED_ATTEMPTS: usize = 2_000;
/// The most writes of one plan.
pub const MAX_PLANNED_WRITES: usize = 10_000;
/// The most decisions of one plan: a loop that waits for something that cannot change in a plan ends here.
pub const MAX_PLAN_DECISIONS: usize = 20_000;
/// The longest that one plan is worked on. An attempt that is under way then is planned to its end.
pub const MAX_PLAN_TIME: Duration = Duration::from_mins(2);

/// What a plan has cost so far, those of child runbooks included.
struct Spent {
    attempts: usize,
    decisions: usize,
    began: Instant,
    /// The limit that was reached: what comes behind it is not planned.
    reached: Option<String>,
}

impl Spent {
    /// Whether nothing more is planned.
    fn over(&mut self, writes: usize) -> bool {
        if self.reached.is_none() {
            let over = |spent: usize, most: usize, what: &str| {
                (spent >= most).then(|| format!("the limit of {most} {what} is reached"))
            };
            self.reached = over(self.attempts, MAX_PLANNED_ATTEMPTS, "attempts")
                .or_else(|| over(writes, MAX_PLANNED_WRITES, "writes"))
                .or_else(|| over(self.decisions, MAX_PLAN_DECISIONS, "decisions"))
                .or_else(|| {
                    let most = MAX_PLAN_TIME.as_secs();
                    (self.began.elapsed() >= MAX_PLAN_TIME)
                        .then(|| format!("the limit of {most} s is reached"))
                });
        }
        self.reached.is_some()
    }
}

/// A plan, and what a run is held to by it.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) held: PlannedWrites,
    /// Why it does not reach to the end, if it does not. No run can be held to it.
    pub(super) cut: Option<String>,
}

/// One simulation; children share its overlay.
struct Simulation<'r> {
    reach: &'r Reach,
    overlay: Arc<Mutex<Overlay>>,
    run: RunId,
    prepared: Prepared,
    texts: Vec<(RunbookName, String)>,
    sketch: Arc<Sketch>,
    context: Arc<RunContext>,
    children: BTreeMap<RunId, End>,
    /// The steps of which cannot be known whether they run, or what they come to.
    unknown: BTreeSet<StepPath>,
    depth: u32,
    spent: Arc<Mutex<Spent>>,
}

/// Plans a request.
pub(super) async fn plan(reach: &Reach, request: &Request) -> Result<Planned, Refusal> {
    let prepared = reach.prepare(request, None).await?;
    let overlay = Arc::new(Mutex::new(Overlay::new(clock::now_ms())));
    let spent = Spent { attempts: 0, decisions: 0, began: Instant::now(), reached: None };
    let parts = (Arc::clone(&overlay), Arc::new(Mutex::new(spent)));
    let mut simulation = Simulation::new(reach, prepared, parts, 0)?;
    let end = simulation.run().await?;
    let cut = simulation.spent().reached.clone();
    let mut overlay = overlay.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(why) = &cut {
        overlay.assume(format!("{NOT_PLANNED}{why}"));
    }
    let runbook = &simulation.prepared.runbook;
    let steps = simulation.sketch.with(|state| steps(runbook, state, &simulation.unknown, cut.as_deref()));
    let digest = digest(&simulation.prepared, &steps, &overlay, &end);
    let held = |w: &ImaginedWrite| HeldWrite { key: w.key.clone(), seen: w.seen.clone() };
    let writes = overlay.writes().iter().map(held).collect();
    let held = PlannedWrites { digest: digest.clone(), writes };
    let plan = Plan {
        digest,
        runbook: simulation.prepared.runbook.name.clone(),
        parameters: simulation.prepared.accepted.parameters.clone(),
        target: simulation.prepared.accepted.target.clone(),
        writes: overlay.writes().iter().map(planned).collect(),
        unknown: overlay.unknown().to_vec(),
        secrets: overlay.secrets().to_vec(),
        steps,
        status: end.status,
        cause: simulation.sketch.with(|state| cause(&simulation.prepared.runbook, state)),
        message: end.message,
        card: simulation.prepared.card(),
    };
    Ok(Planned { plan, held, cut })
}

fn planned(write: &ImaginedWrite) -> PlannedWrite {
    PlannedWrite {
        path: write.path.clone(),
        function: write.function.clone(),
        target: write.target.clone(),
        arguments: write.arguments.clone(),
        before: write.before.clone(),
        certain: write.certain,
    }
}

impl<'r> Simulation<'r> {
    fn new(
        reach: &'r Reach,
        prepared: Prepared,
        (overlay, spent): (Arc<Mutex<Overlay>>, Arc<Mutex<Spent>>),
        depth: u32,
    ) -> Result<Self, Refusal> {
        let run = RunId::from_parts(0, depth);
        let time = Arc::clone(&overlay);
        let now = move || time.lock().unwrap_or_else(PoisonError::into_inner).now_ms();
        let sketch = Arc::new(Sketch::new(State::supposed(run.clone()), Arc::new(now)));
        let accepted = &prepared.accepted;
        let daemon =
            if accepted.grants.containers.is_empty() { None } else { Some(reach.daemon(&accepted.target)?) };
        let context = Arc::new(RunContext::new(RunParts {
            run: run.clone(),
            file: accepted.file.clone(),
            target: accepted.target.clone(),
            grants: accepted.grants.clone(),
            mode: Mode::Plan,
            halt: HaltSwitch::default(),
            ledger: Arc::clone(&sketch) as Arc<dyn host::Ledger>,
            world: reach.world(daemon).through(Arc::clone(&overlay)),
            planned: None,
            is_child: depth > 0,
        }));
        let names = accepted.texts.iter().map(|(name, _)| name.clone());
        let texts =
            names.zip(prepared.texts.iter().map(|text| String::from_utf8_lossy(text).into_owned())).collect();
        let (children, unknown) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { reach, overlay, run, prepared, texts, sketch, context, children, unknown, depth, spent })
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a limit of the whole plan is reached.
    fn over(&self) -> bool {
        let writes = self.overlay().writes().len();
        self.spent().over(writes)
    }

    /// The end of a plan that does not reach to the end.
    fn cut(&self) -> End {
        let why = self.spent().reached.clone().unwrap_or_default();
        let message = format!("not planned to the end: {why}");
        End { at_ms: self.overlay().now_ms(), status: EndStatus::Succeeded, outputs: json!({}), message }
    }

    fn overlay(&self) -> std::sync::MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, event: &Event) -> Result<(), Refusal> {
        self.sketch.take_in(event).map_err(|e| Refusal::Internal(e.to_string()))
    }

    /// Boxed, since a child's simulation is inside its parent's.
    fn run(&mut self) -> BoxFuture<'_, Result<End, Refusal>> {
        async move {
            self.take_in(&Event::Accepted(Box::new(self.prepared.accepted.clone())))?;
            self.take_in(&Event::Started { engine: "plan".to_owned() })?;
            let runbook = Arc::clone(&self.prepared.runbook);
            loop {
                self.spent().decisions += 1;
                let now_ms = self.overlay().now_ms();
                let actions = self.sketch.with(|state| next(&runbook, state, now_ms, &InFlight::default()));
                // Time passes only when nothing else can be done.
                let only_time = actions.iter().all(|a| matches!(a, Action::Wait { .. } | Action::Idle));
                for action in actions {
                    if self.over() {
                        return Ok(self.cut());
                    }
                    if only_time || !matches!(action, Action::Wait { .. }) {
                        self.act(action).await?;
                    }
                }
                if let Some(end) = self.sketch.with(|state| state.end().cloned()) {
                    return Ok(end);
                }
            }
        }
        .boxed()
    }

    async fn act(&mut self, action: Action) -> Result<(), Refusal> {
        match action {
            Action::Append(event) => self.decide(event),
            Action::Perform(action) => self.perform(action).await,
            Action::StartChild(start) => self.child(start).await,
            Action::AwaitChild { path, attempt, run } => {
                let outcome = match self.children.get(&run) {
                    Some(end) => child_outcome(&run, end),
                    None => failed("plan.child", format!("child run `{run}` was not planned")),
                };
                self.ended(Ended { path, attempt, outcome, lines: Vec::new() })
            }
            Action::Wait { until_ms } => {
                self.overlay().advance_to(until_ms);
                Ok(())
            }
            Action::WaitForPerson => self.answer_all(),
            Action::CancelChild { .. } | Action::Idle => Ok(()),
        }
    }

    fn ended(&self, ended: Ended) -> Result<(), Refusal> {
        let event = self.sketch.with(|state| finish(&self.prepared.runbook, state, ended));
        self.take_in(&event)
    }

    /// People are supposed to say yes.
    fn answer_all(&self) -> Result<(), Refusal> {
        let asked: Vec<(StepPath, Question)> = self.sketch.with(|state| {
            let all = state.questions().into_iter();
            all.map(|(path, asked)| (path.clone(), asked.question.clone())).collect()
        });
        if asked.is_empty() {
            return Err(Refusal::Internal("the plan waits for a person who is asked nothing".to_owned()));
        }
        for (path, question) in asked {
            let who =
                question.answerers().map(|_| format!(" (may answer: {})", question.answerers_in_words()));
            let who = who.unwrap_or_default();
            self.overlay().assume(format!("that a person says yes at step `{path}`{who}"));
            let answer = Answer { yes: true, text: None, by: "plan".to_owned() };
            self.take_in(&Event::Answered { path, answer })?;
        }
        Ok(())
    }

    async fn perform(&mut self, action: Perform) -> Result<(), Refusal> {
        let Perform { path, attempt, uses, with, deadline_ms, plugin } = action;
        self.spent().attempts += 1;
        let plugins = &self.reach.plugins;
        let supposed = self.overlay().supposed();
        let performed = match (split_uses(&uses), plugin) {
            (Some((name, step)), Some(digest)) => {
                let plugin = plugins.load(&name, &digest)?;
                let site = Site {
                    path: path.clone(),
                    attempt,
                    first_started_ms: self.overlay().now_ms(),
                    deadline_ms,
                };
                let context = Arc::clone(&self.context);
                let attempt = Attempt { context, site, cursor: Vec::new(), step, input: &with };
                let performed = perform(&*plugins.wasm()?, &plugin, attempt).await;
                checked(performed, plugins.output_of(&uses, &digest).as_deref(), &uses)
            }
            _ => Performed::Ended {
                outcome: failed("plan.uses", format!("`{uses}` is no step type")),
                lines: Vec::new(),
            },
        };
        match performed {
            Performed::Ended { outcome, lines: _ }
                if holds_unknown(&with) || self.overlay().supposed() > supposed =>
            {
                self.comes_to(path, attempt, outcome)
            }
            Performed::Ended { outcome, lines } => self.ended(Ended { path, attempt, outcome, lines }),
            Performed::Stopped(
                Stop::Left(why) | Stop::InDoubt(why) | Stop::Diverged(why) | Stop::Unwritable(why),
            ) => Err(Refusal::Conflict(why)),
            Performed::Stopped(stop) => Err(Refusal::Internal(stop.to_string())),
        }
    }

    async fn child(&mut self, start: StartChild) -> Result<(), Refusal> {
        let StartChild { path, attempt, runbook, with, .. } = start;
        if holds_unknown(&with) {
            self.unknown.insert(path.clone());
            self.overlay().assume(format!("what runbook `{runbook}` does at step `{path}`"));
            return self.comes_to(path, attempt, Outcome::Ok(unknown()));
        }
        let request = child_request(&self.prepared.accepted, &runbook, &with, &self.texts)
            .ok_or_else(|| Refusal::Internal(format!("there is no runbook `{runbook}`")))?;
        if self.depth as usize >= super::acceptance::MAX_CHILD_DEPTH {
            return Err(Refusal::Exhausted(format!("runbooks may use each other {} deep", self.depth)));
        }
        let number = u32::try_from(self.children.len()).unwrap_or(u32::MAX);
        let child = RunId::from_parts(u64::from(self.depth) + 1, number);
        let parent = Parent::of(self.run.clone(), &self.prepared.accepted);
        let prepared = self.reach.prepare(&request, Some(parent)).await?;
        let parts = (Arc::clone(&self.overlay), Arc::clone(&self.spent));
        let mut simulation = Simulation::new(self.reach, prepared, parts, self.depth + 1)?;
        let end = simulation.run().await?;
        self.children.insert(child.clone(), end);
        self.take_in(&Event::ChildStarted { path, attempt, run: child })
    }
}

/// The kind of the first failure, which refines the exit code.
fn cause(runbook: &Runbook, state: &State) -> Option<FailureKind> {
    let view = run::view::view(Some(runbook), state);
    let failed = view.steps.into_iter().filter(|step| step.status == "failed").find_map(|step| step.failure);
    failed.map(|failure| failure.kind)
}

/// Every step of the runbook and what would become of it; with the reason why the plan does not reach to the end, also
/// those that it does not reach.
fn steps(
    runbook: &Runbook,
    state: &State,
    unknown: &BTreeSet<StepPath>,
    cut: Option<&str>,
) -> Vec<PlannedStep> {
    let mut all: Vec<PlannedStep> = Vec::new();
    for (path, progress) in state.paths() {
        let Some((_, attempt)) = progress.last() else {
            if let Some(skipped) = &progress.skipped {
                all.push(step(path, "", "skipped", Some(skipped.to_string())));
            }
            continue;
        };
        let asks = progress.attempts.iter().any(|a| a.waiting.as_ref().is_some_and(|w| w.asked().is_some()));
        let (fate, note) = match &attempt.outcome {
            Some(Outcome::Error(failure)) => ("fails", Some(failure.message.clone())),
            Some(Outcome::Ok(_)) if unknown.contains(path) => {
                ("unknown", Some("rests on what cannot be known before".to_owned()))
            }
            Some(Outcome::Ok(_)) if asks => ("asks", None),
            Some(Outcome::Ok(_)) if attempt.waiting.is_some() => ("waits", None),
            Some(Outcome::Ok(_)) => ("runs", None),
            None => ("unknown", None),
        };
        all.push(step(path, &attempt.uses, fate, note));
    }
    if let Some(why) = cut {
        all.extend(not_reached(runbook, state, &all, why));
    }
    let place = |s: &PlannedStep| {
        let steps = runbook.steps.iter().chain(&runbook.finally);
        let index = steps.map(|step| &step.id).position(|id| *id == s.path.id).unwrap_or(usize::MAX);
        (s.path.section, index, s.path.item)
    };
    all.sort_by_key(place);
    all
}

/// The steps whose items a plan does not all hold.
fn not_reached(runbook: &Runbook, state: &State, reached: &[PlannedStep], why: &str) -> Vec<PlannedStep> {
    let whole = |path: &StepPath| {
        let items = state.progress(path).and_then(|progress| progress.items.as_ref()).map_or(1, Vec::len);
        reached.iter().filter(|row| row.path.id == path.id && row.path.section == path.section).count()
            >= items
    };
    let every = runbook.steps.iter().map(|step| (Section::Steps, step));
    let every = every.chain(runbook.finally.iter().map(|step| (Section::Finally, step)));
    every
        .map(|(section, step)| (StepPath { section, ..StepPath::step(step.id.clone()) }, step))
        .filter(|(path, _)| !whole(path))
        .map(|(path, used)| {
            step(&path, &used.uses.to_string(), "unknown", Some(format!("not planned: {why}")))
        })
        .collect()
}

fn step(path: &StepPath, uses: &str, fate: &str, note: Option<String>) -> PlannedStep {
    PlannedStep { path: path.clone(), uses: uses.to_owned(), fate: fate.to_owned(), note }
}

/// Of runbook, plugins, parameters, target, fates, writes with what was seen of each target when it was first touched, and
/// the versions of secrets.
fn digest(prepared: &Prepared, steps: &[PlannedStep], overlay: &Overlay, end: &End) -> Digest {
    let writes: Vec<Value> =
        overlay.writes().iter().map(|write| json!([write.key, lasting(&write.seen)])).collect();
    let fates: Vec<Value> = steps.iter().map(|s| json!([s.path, s.uses, s.fate])).collect();
    let accepted = &prepared.accepted;
    let mut whole = vec![
        json!(prepared.runbook.digest),
        json!(accepted.plugins),
        json!(accepted.parameters),
        json!(accepted.target),
        json!(fates),
        json!(writes),
        json!(end.status),
    ];
    // Plans without secrets keep the digest they always had.
    if !overlay.secrets().is_empty() {
        whole.push(json!(overlay.secrets()));
    }
    Digest::of(Value::Array(whole).to_string())
}
