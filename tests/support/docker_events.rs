//! The oracle: what the daemon says happened to the containers of one project, read by a process of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::docker::{IMAGE, docker};
use super::patience::until;

/// One thing that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Nanoseconds since 1970.
    pub(crate) time_ns: u64,
    /// `start`, `die`, `kill 15`, `health_status: healthy`, …
    pub(crate) action: String,
    /// The container.
    pub(crate) name: String,
}

/// The stream of one project's events, from before its first container on.
pub(crate) struct DockerEvents {
    project: String,
    seen: Arc<Mutex<Vec<Event>>>,
    child: Child,
    reader: Option<JoinHandle<()>>,
}

/// What the health checks and the daemon's own doings leave in the stream; everything else someone asked for.
fn asked_for(action: &str) -> bool {
    !(action.starts_with("exec_") || action.starts_with("health_status") || matches!(action, "die" | "oom"))
}

impl DockerEvents {
    pub(crate) fn of(project: &str) -> Self {
        let mut child = Command::new("docker")
            .args(["events", "--format", "{{json .}}", "--filter", "type=container", "--filter"])
            .arg(format!("label=com.docker.compose.project={project}"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("`docker events`");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stdout = child.stdout.take().expect("its output");
        let into = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                into.lock().expect("no reader panics").push(event(&line));
            }
        });
        let events = Self { project: project.to_owned(), seen, child, reader: Some(reader) };
        // It listens once it tells of something.
        until("`docker events` to listen", || events.barrier_seen(&events.make_barrier()));
        events
    }

    /// A number that stands for now: all that happened until here lies before it.
    pub(crate) fn mark(&self) -> usize {
        let name = self.make_barrier();
        until("a mark in the stream", || self.barrier_seen(&name))
    }

    /// Everything since a mark, up to now.
    pub(crate) fn since(&self, mark: usize) -> Vec<Event> {
        let end = self.mark();
        let mut events: Vec<Event> = self.all()[mark..end].to_vec();
        events.retain(|event| !event.name.contains("-barrier-"));
        events.sort_by_key(|event| event.time_ns);
        events
    }

    /// What someone asked the daemon to do since a mark, by container, without health checks: `start`, `stop`, …
    pub(crate) fn writes(&self, mark: usize) -> Vec<(String, String)> {
        let asked = self.since(mark).into_iter().filter(|event| asked_for(&event.action));
        asked.map(|event| (event.action, event.name)).collect()
    }

    /// How often each container did this since a mark.
    pub(crate) fn count(&self, mark: usize, action: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in self.since(mark).into_iter().filter(|event| event.action == action) {
            *counts.entry(event.name).or_default() += 1;
        }
        counts
    }

    /// The first event that fits, waited for.
    pub(crate) fn wait_for(&self, mark: usize, action: &str, name: &str) -> Event {
        until(&format!("`{action}` of `{name}`"), || {
            let all = self.seen.lock().expect("no reader panics");
            all[mark..].iter().find(|event| event.action == action && event.name == name).cloned()
        })
    }

    /// How many events that fit came since a mark, without waiting.
    pub(crate) fn so_far(&self, mark: usize, action: &str) -> usize {
        self.seen.lock().expect("no reader panics")[mark..].iter().filter(|e| e.action == action).count()
    }

    fn all(&self) -> Vec<Event> {
        self.seen.lock().expect("no reader panics").clone()
    }

    /// A container that comes and goes: of the project, of none of its services.
    fn make_barrier(&self) -> String {
        let label = format!("com.docker.compose.project={}", self.project);
        let name = format!("{}-barrier-{}", self.project, super::service::next_number());
        docker(&["create", "--name", &name, "--label", &label, IMAGE]);
        docker(&["rm", "--force", &name]);
        name
    }

    fn barrier_seen(&self, name: &str) -> Option<usize> {
        let seen = self.seen.lock().expect("no reader panics");
        seen.iter().position(|event| event.name == name && event.action == "create")
    }
}

impl Drop for DockerEvents {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn event(line: &str) -> Event {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let action = value["Action"].as_str().expect("an action");
    let signal = value["Actor"]["Attributes"]["signal"].as_str().filter(|_| action == "kill");
    Event {
        time_ns: value["timeNano"].as_u64().expect("a time"),
        action: signal.map_or_else(|| action.to_owned(), |signal| format!("{action} {signal}")),
        name: value["Actor"]["Attributes"]["name"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The most containers that were down at once: from their end until they are healthy again.
pub(crate) fn most_down(events: &[Event]) -> usize {
    let (mut down, mut most) = (Vec::new(), 0);
    for event in events {
        match event.action.as_str() {
            "die" if !down.contains(&&event.name) => down.push(&event.name),
            "health_status: healthy" => down.retain(|name| **name != event.name),
            _ => {}
        }
        most = most.max(down.len());
    }
    most
}
