//! A service of its own: replicas of the test image, labelled as Compose labels them, gone when dropped.

use std::sync::atomic::{AtomicU32, Ordering};

use super::docker::{IMAGE, docker, ensure_image, try_docker};
use super::docker_events::DockerEvents;

/// Unique in this process; with its id, on this machine.
pub(crate) fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A service that is wanted.
#[derive(Clone)]
pub(crate) struct Wanted {
    replicas: u32,
    env: Vec<String>,
    /// More arguments of `docker run`.
    options: Vec<&'static str>,
    heals_by_mark: bool,
    unchecked: bool,
}

/// A service that runs.
pub(crate) struct Service {
    project: String,
    replicas: u32,
    wanted: Wanted,
    /// What Docker says happened to it.
    pub(crate) events: DockerEvents,
}

/// The file without which a container of a service that [`Wanted::heals_by_mark`] does not become healthy.
const MARK: &str = "/tmp/heal";

impl Wanted {
    /// An environment variable of every replica: a switch of the test image.
    pub(crate) fn env(mut self, pair: &str) -> Self {
        self.env.push(pair.to_owned());
        self
    }

    /// Arguments of `docker run`, for every replica.
    pub(crate) fn options(mut self, options: &[&'static str]) -> Self {
        self.options.extend(options);
        self
    }

    /// Without a health check, so that it needs no time to be up.
    pub(crate) fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self.options(&["--no-healthcheck"])
    }

    /// Replicas may be made never to heal again, see [`Service::never_heals_again`].
    pub(crate) fn heals_by_mark(mut self) -> Self {
        self.heals_by_mark = true;
        self.env(&format!("HEAL_MARK={MARK}"))
    }

    /// Starts it and waits until it is healthy.
    pub(crate) fn up(self) -> Service {
        ensure_image();
        let project = format!("g{}x{}", std::process::id(), next_number());
        let events = DockerEvents::of(&project);
        let service = Service { events, project, replicas: self.replicas, wanted: self };
        std::thread::scope(|scope| {
            for number in 1..=service.replicas {
                let service = &service;
                scope.spawn(move || service.start_replica(number));
            }
        });
        let up = if service.wanted.unchecked { "start" } else { "health_status: healthy" };
        for number in 1..=service.replicas {
            service.events.wait_for(0, up, &service.replica(number));
        }
        service
    }
}

impl Service {
    pub(crate) fn of(replicas: u32) -> Wanted {
        Wanted { replicas, env: Vec::new(), options: Vec::new(), heals_by_mark: false, unchecked: false }
    }

    /// One more, healthy.
    pub(crate) fn add_replica(&self, number: u32) {
        let mark = self.events.mark();
        self.start_replica(number);
        self.events.wait_for(mark, "health_status: healthy", &self.replica(number));
    }

    fn start_replica(&self, number: u32) {
        let wanted = &self.wanted;
        let name = self.replica(number);
        let labels = [
            format!("com.docker.compose.project={}", self.project),
            "com.docker.compose.service=web".to_owned(),
            format!("com.docker.compose.container-number={number}"),
        ];
        let mut arguments = vec!["run", "--detach", "--name", &name];
        arguments.extend(labels.iter().flat_map(|label| ["--label", label]));
        arguments.extend(wanted.env.iter().flat_map(|pair| ["--env", pair]));
        arguments.extend(&wanted.options);
        arguments.push(IMAGE);
        docker(&arguments);
        if wanted.heals_by_mark {
            docker(&["exec", &name, "touch", MARK]);
        }
    }

    /// `project/service`
    pub(crate) fn name(&self) -> String {
        format!("{}/web", self.project)
    }

    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    /// The name of one replica's container.
    pub(crate) fn replica(&self, number: u32) -> String {
        format!("{}-web-{number}", self.project)
    }

    /// The names of all.
    pub(crate) fn replicas(&self) -> Vec<String> {
        (1..=self.replicas).map(|number| self.replica(number)).collect()
    }

    /// After its next start this replica never becomes healthy.
    pub(crate) fn never_heals_again(&self, number: u32) {
        docker(&["exec", &self.replica(number), "rm", MARK]);
    }

    /// `docker inspect` with a template.
    pub(crate) fn inspect(&self, number: u32, template: &str) -> String {
        docker(&["inspect", "--format", template, &self.replica(number)])
    }

    pub(crate) fn is_healthy(&self, number: u32) -> bool {
        self.inspect(number, "{{.State.Health.Status}}") == "healthy"
    }

    pub(crate) fn is_running(&self, number: u32) -> bool {
        self.inspect(number, "{{.State.Running}}") == "true"
    }

    /// Containers of the project now, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let listed = docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]);
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// `-p service=PROJECT/web`
    pub(crate) fn parameter(&self) -> String {
        format!("service={}", self.name())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let listed = try_docker(&["ps", "--all", "--quiet", "--filter", &filter]).stdout;
        let ids = String::from_utf8_lossy(&listed);
        let mut arguments = vec!["rm", "--force", "--volumes"];
        arguments.extend(ids.lines());
        if arguments.len() > 3 {
            let _ = try_docker(&arguments);
        }
    }
}
