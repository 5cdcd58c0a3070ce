//! Waiting until replicas serve again.

use runbook_plugin::{Condition, Container, Duration, Error, Host, State};

use crate::replicas::tell_last_lines;

/// How long a container without a health check must run before it counts as come back.
pub(crate) const READINESS_DELAY: Duration = Duration::from_secs(2);

/// What counts as come back, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Healthy for so long without a break.
    pub(crate) healthy_for: Duration,
    /// In all, for every container of one batch.
    pub(crate) wait: Duration,
}

impl Patience {
    /// Waits for one container; `deadline_ms` is common to its batch.
    pub(crate) fn wait_for(
        self,
        host: &impl Host,
        container: &Container,
        deadline_ms: u64,
    ) -> Result<(), Error> {
        let left = Duration::from_ms(deadline_ms.saturating_sub(host.now_ms()).max(1));
        self.wait_within(host, container, left)
    }

    fn wait_within(self, host: &impl Host, container: &Container, left: Duration) -> Result<(), Error> {
        let time = if container.has_health_check() {
            self.healthy_for
        } else {
            let name = &container.name;
            host.warn(&format!(
                "`{name}` has no health check: it counts as come back once it ran {READINESS_DELAY}"
            ));
            self.healthy_for.max(READINESS_DELAY)
        };
        match host.wait_until(&container.id, Condition::HealthyFor(time.as_ms()), left) {
            Ok(_) => Ok(()),
            Err(error) => {
                tell_last_lines(host, container);
                Err(error)
            }
        }
    }

    /// When a batch that begins to wait now must have come back.
    pub(crate) fn deadline_ms(self, host: &impl Host) -> u64 {
        host.now_ms().saturating_add(self.wait.as_ms())
    }

    /// Waits for one container that is alone in its batch. The clock is not asked: it does not answer once the run is being
    /// cancelled, and a step that is half-way must be able to take back what it did.
    pub(crate) fn wait_for_one(self, host: &impl Host, container: &Container) -> Result<(), Error> {
        self.wait_within(host, container, self.wait)
    }

    /// The last look of a step: every replica must be healthy now, those too that came back long ago. One that was never
    /// started is no replica yet.
    pub(crate) fn confirm(self, host: &impl Host, service: &str) -> Result<(), Error> {
        let replicas = host.service(service)?;
        let counted: Vec<&Container> = replicas.iter().filter(|c| c.state != State::Created).collect();
        let deadline_ms = self.deadline_ms(host);
        for (healthy, container) in counted.iter().enumerate() {
            let left = Duration::from_ms(deadline_ms.saturating_sub(host.now_ms()).max(1));
            if let Err(error) = host.wait_until(&container.id, Condition::HealthyFor(0), left) {
                tell_last_lines(host, container);
                let (name, all) = (&container.name, counted.len());
                let words =
                    format!("`{name}` is not healthy at the end ({healthy} of {all} replicas before it are)");
                return Err(error.because(words));
            }
        }
        Ok(())
    }
}
