//! The calls that leave a mark which can be looked for: creating a container, running a command inside one.

use std::time::Duration;

use futures_util::future::FutureExt as _;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::call::{Asked, Call, Found, Imagined, Intent, Need, Trouble};
use super::super::limits;
use super::super::overlay::Overlay;
use super::super::secret::{Placed, Use};
use super::super::world::World;
use super::container_changes::to_value;
use super::secrets::{check_placed, check_variables};
use docker::types::{Container, ExecOutput, Health, Overrides, State};
use docker::{
    ENDING, EXEC_ENDED, Ended, ExecCommand, ExecLimit, ExecTrace, NewSecrets, OVERRIDES, StaysBehind,
    overrides,
};
use model::grant::ContainerAction;
use words::clock::Deadline;
use words::container_text::{check_file, check_label_name};
use words::duration::format_duration;
use words::effect::{Effect, Failure, FailureKind};
use words::ids::Digest;

/// A new container from the spec of another. Its mark is a label with the call's key.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Create {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) overrides: Overrides,
    #[serde(skip_serializing_if = "Placed::is_empty")]
    pub(super) secret_env: Placed,
    #[serde(skip_serializing_if = "Placed::is_empty")]
    pub(super) secret_files: Placed,
}

impl Create {
    /// A container that an earlier request of this call made may still lack its files.
    async fn complete(&self, world: &World, made: Container) -> Result<Found, Trouble> {
        if self.secret_files.is_empty() {
            return Ok(Found::Done(to_value(&made)));
        }
        if made.state != State::Created {
            let words = "someone else started `NAME`, and whether its secret files were there cannot be seen";
            return Ok(Found::Doubt(words.replace("NAME", &made.name)));
        }
        let files = self.secret_files.values(world).await?;
        world.daemon()?.put_files(&made, &files).await?;
        Ok(Found::Done(to_value(&made)))
    }
}

/// How long a daemon usually takes to create a container.
const CREATION: Duration = Duration::from_millis(500);

impl Call for Create {
    fn function(&self) -> &'static str {
        "containers.create"
    }

    fn arguments(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    fn effect(&self) -> Effect {
        Effect::Probe
    }

    fn need(&self) -> Need {
        Need::Container { id: self.id.clone(), action: ContainerAction::Create, takes_down: false }
    }

    fn check(&self) -> Result<(), Failure> {
        let plain = self.overrides.env.iter().map(|change| change.split('=').next().unwrap_or_default());
        check_variables(&self.secret_env, &plain)?;
        check_placed(&self.secret_files, "files")?;
        for (path, _) in &self.secret_files.0 {
            check_file(path).map_err(|unfit| {
                Failure::new(FailureKind::Invalid, "containers.secret-file", unfit.message)
            })?;
        }
        for label in &self.overrides.labels {
            check_label_name(label.split('=').next().unwrap_or_default()).map_err(|unfit| {
                Failure::new(FailureKind::Denied, "containers.reserved-label", unfit.message)
            })?;
        }
        Ok(())
    }

    fn secrets(&self) -> Vec<Use> {
        let mut uses = self.secret_env.uses(|name| format!("variable `{name}` of container {}", self.name));
        uses.extend(self.secret_files.uses(|path| format!("file `{path}` of container {}", self.name)));
        uses
    }

    fn perform<'a>(&'a self, world: &'a World, key: &'a Digest) -> Asked<'a> {
        async move {
            let secrets = NewSecrets {
                env: self.secret_env.values(world).await?,
                files: self.secret_files.values(world).await?,
            };
            let daemon = world.daemon()?;
            let made = Box::pin(daemon.create(&self.id, &self.name, &self.overrides, &secrets, key.as_str()))
                .await?;
            Ok(to_value(&made))
        }
        .boxed()
    }

    fn before<'a>(&'a self, world: &'a World) -> Asked<'a> {
        async move {
            let mut before = json!({ "from": world.inspect(&self.id).await? });
            world.refuse_uncopyable(&self.id, &self.overrides).await?;
            world.refuse_taken(&self.name, None).await?;
            if let Some(image) = &self.overrides.image {
                before["image_id"] = Value::String(world.daemon()?.image_id(image).await?);
            }
            Ok(before)
        }
        .boxed()
    }

    fn establish<'a>(&'a self, world: &'a World, intent: &'a Intent) -> Asked<'a, Found> {
        async move {
            let daemon = world.daemon()?;
            if let Some(made) = daemon.find_by_call(intent.key.as_str()).await? {
                return self.complete(world, made).await;
            }
            // The daemon shows a container only when it is complete: it may be at it right now.
            tokio::time::sleep(CREATION).await;
            match daemon.find_by_call(intent.key.as_str()).await? {
                Some(made) => self.complete(world, made).await,
                None => Ok(Found::NotDone),
            }
        }
        .boxed()
    }

    fn imagine(&self, overlay: &mut Overlay, before: &Value, key: &Digest) -> Result<Imagined, Failure> {
        let mut made: Container = serde_json::from_value(before["from"].clone())
            .map_err(|e| Failure::new(FailureKind::Internal, "plan.before", e.to_string()))?;
        made.id = key.to_string();
        made.name.clone_from(&self.name);
        made.state = State::Created;
        made.health = if made.health == Health::None || self.overrides.one_shot {
            Health::None
        } else {
            Health::Starting
        };
        made.started_at = String::new();
        made.finished_at = String::new();
        made.created_at = overlay.instant();
        made.restart_count = 0;
        made.replica = self.overrides.replica;
        if let Some(image) = &self.overrides.image {
            made.image.clone_from(image);
            overlay.assume(format!("that image `{image}` starts"));
        }
        made.labels.retain(|(name, _)| name != OVERRIDES);
        if self.secret_env.is_empty() && self.secret_files.is_empty() {
            let digest = overrides::digest(&self.overrides, before["image_id"].as_str());
            made.labels.extend(digest.map(|digest| (OVERRIDES.to_owned(), digest)));
        }
        let answer = to_value(&made);
        overlay.put_made(made, self.overrides.one_shot);
        Ok(Imagined { answer, target: self.name.clone(), assumption: None })
    }

    fn settled_answer<'a>(&'a self, world: &'a World) -> Asked<'a> {
        async move { Ok(to_value(&world.inspect(&self.name).await?)) }.boxed()
    }
}

/// The pause before the world is asked once more what a request that may be on its way has done.
const SECOND_LOOK: Duration = Duration::from_millis(200);

/// What can be told of a command's end.
enum End {
    With(i32),
    NotYet,
    Unknown,
}

/// A command inside a running container. It is created inert, announced with the daemon's id for it, then started: whether
/// it ran can be asked of the daemon by that id.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Exec {
    pub(super) id: String,
    pub(super) command: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Placed::is_empty")]
    pub(super) secret_env: Placed,
    pub(super) input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workdir: Option<String>,
    pub(super) timeout_ms: u64,
    /// The daemon's id, once created by this very engine.
    #[serde(skip)]
    pub(super) inert: std::sync::OnceLock<String>,
    /// When the attempt must have ended: no command is waited for longer.
    #[serde(skip)]
    pub(super) deadline: Deadline,
    /// True once the command is to end before its time.
    #[serde(skip)]
    pub(super) ends: watch::Sender<bool>,
}

impl Exec {
    /// An inert one; the secrets are in it from then on.
    async fn make(&self, world: &World) -> Result<String, Trouble> {
        let secrets = self.secret_env.values(world).await?;
        let (user, workdir) = (self.user.as_deref(), self.workdir.as_deref());
        let command = ExecCommand { command: &self.command, env: &self.env, user, workdir };
        Ok(world.daemon()?.exec_create(&self.id, &command, &secrets).await?)
    }

    /// How long this engine waits for a command that it starts.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.limit_ms().min(self.deadline.left_ms()))
    }

    fn limit_ms(&self) -> u64 {
        self.timeout_ms.min(limits::MAX_WAIT_MS)
    }

    /// Until when this command, which was announced then, may run. One that an earlier engine started has had its time since
    /// it was announced; one of ours has had it.
    fn last_moment(&self, intent: &Intent) -> Deadline {
        if self.inert.get().is_some() {
            return Deadline::after(self.patience());
        }
        Deadline::at_ms(intent.at_ms.saturating_add(self.limit_ms()))
    }

    /// Ends a command that runs and that nobody listens to.
    async fn end(&self, world: &World, exec: &str) -> Result<Option<Found>, Trouble> {
        let wished = *self.ends.borrow();
        let (kind, why) = if wished {
            (FailureKind::Cancelled, "the run is being cancelled".to_owned())
        } else {
            let time = Duration::from_millis(self.limit_ms()).as_secs_f64();
            (FailureKind::TimedOut, format!("the command did not end within {time} s"))
        };
        let (daemon, exec) = (world.daemon()?.clone(), exec.to_owned());
        match apart(async move { daemon.end_exec(&exec).await }).await {
            Ok(Ended::ByItself) => Ok(None),
            Ok(Ended::By(signal)) => {
                let message = format!("{why}; it was ended with {signal}");
                Ok(Some(Found::Failed(Failure::new(kind, EXEC_ENDED, message))))
            }
            // It has its time then.
            Err(_) if wished => {
                self.ends.send_replace(false);
                Ok(None)
            }
            Err(StaysBehind(behind)) => Ok(Some(Found::Doubt(format!(
                "the command is still running and cannot be ended from here: {behind}"
            )))),
        }
    }

    /// The end of a command whose exit code the daemon replaced when its listener went away.
    async fn real_end(
        &self,
        world: &World,
        exec: &str,
        intent: &Intent,
        seen_running: bool,
    ) -> Result<End, Trouble> {
        // As the daemon's clock counts; it was started after the announcement, a second is slack.
        let since = intent.at_ms.saturating_sub(1_000);
        Ok(match world.daemon()?.exec_trace(&self.id, exec, since).await? {
            ExecTrace::Ended(exit_code) => End::With(exit_code),
            // The daemon drops old events first: while it tells of the start, an end would be told too.
            ExecTrace::Started => End::NotYet,
            ExecTrace::Nothing if seen_running => End::NotYet,
            ExecTrace::Nothing => End::Unknown,
        })
    }

    /// What the end of a command tells that nobody listened to.
    fn ended(&self, exit_code: i32, pid: u32) -> Found {
        // With these codes and without a process the program could not be started at all.
        let ran = pid != 0 || !matches!(exit_code, 126 | 127);
        if ran && self.input.as_ref().is_some_and(|input| !input.is_empty()) {
            return Found::Doubt(format!(
                "the command ended with {exit_code}, but whether all of its input reached it cannot be seen"
            ));
        }
        let stderr = "(it ran while no engine was listening: its output is lost)".to_owned();
        let output = ExecOutput { exit_code, stdout: String::new(), stderr, truncated: true };
        Found::Done(serde_json::to_value(output).unwrap_or(Value::Null))
    }
}

impl Call for Exec {
    fn function(&self) -> &'static str {
        "containers.exec"
    }

    fn arguments(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    fn effect(&self) -> Effect {
        Effect::Probe
    }

    fn need(&self) -> Need {
        Need::Container { id: self.id.clone(), action: ContainerAction::Exec, takes_down: false }
    }

    fn time_ms(&self) -> u64 {
        self.limit_ms().saturating_add(millis(ENDING))
    }

    fn establish_ms(&self) -> u64 {
        self.time_ms().saturating_add(limits::READ_DEADLINE_MS)
    }

    fn end_early(&self) {
        self.ends.send_if_modified(|ends| !std::mem::replace(ends, true));
    }

    fn check(&self) -> Result<(), Failure> {
        check_variables(&self.secret_env, &self.env.iter().map(|(name, _)| name.as_str()))
    }

    fn secrets(&self) -> Vec<Use> {
        let program = self.command.first().map_or("", String::as_str);
        self.secret_env.uses(|name| format!("variable `{name}` of `{program}`"))
    }

    fn before<'a>(&'a self, world: &'a World) -> Asked<'a> {
        async move {
            let container = world.inspect(&self.id).await?;
            if container.state != State::Running {
                return Err(Trouble::certain(
                    FailureKind::Conflict,
                    "containers.not-running",
                    format!("container `{}` is not running: nothing can be run inside it", container.name),
                ));
            }
            // In a plan nothing is created, not even an inert command.
            if world.overlay().is_some() {
                let stays = !world.daemon()?.may_end_commands();
                return Ok(json!({ "exec": "", "container": container, "stays": stays }));
            }
            let exec = self.make(world).await?;
            let _ = self.inert.set(exec.clone());
            Ok(json!({ "exec": exec, "container": container }))
        }
        .boxed()
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move {
            let daemon = world.daemon()?;
            let exec = match self.inert.get() {
                Some(exec) => exec.clone(),
                None => self.make(world).await?,
            };
            let limit = ExecLimit { time: self.patience(), ends: Some(self.ends.subscribe()) };
            let (daemon, input) = (daemon.clone(), self.input.clone());
            let output =
                apart(async move { daemon.exec_start(&exec, input.as_deref(), limit).await }).await?;
            Ok(serde_json::to_value(output).unwrap_or(Value::Null))
        }
        .boxed()
    }

    fn establish<'a>(&'a self, world: &'a World, intent: &'a Intent) -> Asked<'a, Found> {
        async move {
            let exec = intent.before["exec"].as_str().unwrap_or_default();
            let last_moment = self.last_moment(intent);
            let (mut looked, mut seen_running) = (false, false);
            loop {
                let Some(state) = world.daemon()?.exec_state(exec).await? else {
                    return Ok(Found::Doubt("the daemon has forgotten whether the command ran".to_owned()));
                };
                let end = match (state.running, state.exit_code) {
                    // A request to start it may still be on its way.
                    (false, None) if !looked => End::NotYet,
                    (false, None) => {
                        // Created and never started: start this very one.
                        let _ = self.inert.set(exec.to_owned());
                        return Ok(Found::NotDone);
                    }
                    (false, Some(_)) if state.listener_lost() => {
                        self.real_end(world, exec, intent, seen_running).await?
                    }
                    (false, Some(exit_code)) => End::With(exit_code),
                    (true, _) => End::NotYet,
                };
                match end {
                    End::With(exit_code) => return Ok(self.ended(exit_code, state.pid)),
                    End::Unknown => {
                        return Ok(Found::Doubt(
                            "the command ran while no engine was listening, and the daemon has forgotten its exit code"
                                .to_owned(),
                        ));
                    }
                    End::NotYet if state.started() && (last_moment.passed() || *self.ends.borrow()) => {
                        if let Some(found) = self.end(world, exec).await? {
                            return Ok(found);
                        }
                    }
                    End::NotYet => tokio::time::sleep(SECOND_LOOK).await,
                }
                looked = true;
                seen_running |= state.started();
            }
        }
        .boxed()
    }

    fn imagine(&self, overlay: &mut Overlay, before: &Value, _key: &Digest) -> Result<Imagined, Failure> {
        let target = before["container"]["name"].as_str().unwrap_or(&self.id).to_owned();
        let program = self.command.first().map_or("", String::as_str);
        if before["stays"] == true {
            let time = format_duration(Duration::from_millis(self.limit_ms()));
            overlay.assume(format!(
                "that `{program}` in `{target}` ends within {time}: on another machine nobody can end it, it would stay \
                 behind and be in doubt"
            ));
        }
        let output =
            ExecOutput { exit_code: 0, stdout: String::new(), stderr: String::new(), truncated: false };
        Ok(Imagined {
            answer: serde_json::to_value(output).unwrap_or(Value::Null),
            assumption: Some(format!("that `{program}` in `{target}` exits with 0 and what it prints")),
            target,
        })
    }

    fn settled_answer<'a>(&'a self, _world: &'a World) -> Asked<'a> {
        let output =
            ExecOutput { exit_code: 0, stdout: String::new(), stderr: String::new(), truncated: true };
        async move { Ok(serde_json::to_value(output).unwrap_or(Value::Null)) }.boxed()
    }
}

/// Works on a task of its own: the stack of a plugin is too small for what ends a command. Dropped, it ends as any other.
async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(died)) => std::panic::resume_unwind(died.into_panic()),
        None => unreachable!("one was spawned"),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
