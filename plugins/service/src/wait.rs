//! Waiting until replicas serve again.

use runbook_plugin::{Condition, Container, Duration, Error, Host};

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
        let time = if container.has_health_check() {
            self.healthy_for
        } else {
            let name = &container.name;
            host.warn(&format!(
                "`{name}` has no health check: it counts as come back once it ran {READINESS_DELAY}"
            ));
            self.healthy_for.max(READINESS_DELAY)
        };
        let left = Duration::from_ms(deadline_ms.saturating_sub(host.now_ms()).max(1));
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

    /// Waits for one container that is alone in its batch.
    pub(crate) fn wait_for_one(self, host: &impl Host, container: &Container) -> Result<(), Error> {
        self.wait_for(host, container, self.deadline_ms(host))
    }
}
