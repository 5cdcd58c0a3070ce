//! What a container uses, and which processes it runs.

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;

use crate::daemon::{Daemon, read};
use crate::error::Error;
use crate::types::{Sample, State};

/// The most processes that are listed.
const MAX_PROCESSES: usize = 1000;

impl Daemon {
    /// The use of resources over about a second. Memory is what the kernel cannot take back.
    pub async fn stats(&self, id: &str) -> Result<Sample, Error> {
        let raw = self.measure(id, false).await?;
        let (now, before) = (raw.cpu_stats.unwrap_or_default(), raw.precpu_stats.unwrap_or_default());
        let memory = raw.memory_stats.unwrap_or_default();
        Ok(Sample {
            cpu_percent: cpu_percent(&now, &before),
            memory_bytes: working_set(&memory),
            memory_limit_bytes: memory.limit.unwrap_or(0),
            pids: raw.pids_stats.and_then(|pids| pids.current).unwrap_or(0),
        })
    }

    /// Rows of `ps`; the first is the header.
    pub async fn top(&self, id: &str) -> Result<Vec<Vec<String>>, Error> {
        let container = self.inspect(id).await?;
        let call = read("list the processes of container", &container.name);
        let top = self.ask(call, async |docker| docker.top_processes(&container.id, None).await).await?;
        let mut rows = vec![top.titles.unwrap_or_default()];
        rows.extend(top.processes.unwrap_or_default().into_iter().take(MAX_PROCESSES));
        Ok(rows)
    }

    /// The memory in use that the kernel cannot take back.
    pub(crate) async fn memory_in_use(&self, id: &str) -> Result<u64, Error> {
        self.measure(id, true).await.map(|raw| working_set(&raw.memory_stats.unwrap_or_default()))
    }

    /// `at_once` does not wait for a second sample, so that there is no measure of processor time.
    async fn measure(&self, id: &str, at_once: bool) -> Result<ContainerStatsResponse, Error> {
        let container = self.inspect(id).await?;
        let silent = || {
            Error::conflict(
                "containers.not-running",
                format!("container `{}` does not run: there is nothing to measure", container.name),
            )
        };
        if !matches!(container.state, State::Running | State::Paused) {
            return Err(silent());
        }
        let options = StatsOptionsBuilder::default().stream(false).one_shot(at_once).build();
        let call = read("measure container", &container.name);
        let measured = self
            .ask(call, async |docker| {
                docker.stats(&container.id, Some(options.clone())).next().await.transpose()
            })
            .await?;
        measured.ok_or_else(silent)
    }
}

/// As `docker stats` reckons: the share of one processor, so that two busy ones are 200 %.
#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
fn cpu_percent(now: &ContainerCpuStats, before: &ContainerCpuStats) -> f64 {
    let used =
        |stats: &ContainerCpuStats| stats.cpu_usage.as_ref().and_then(|cpu| cpu.total_usage).unwrap_or(0);
    let whole = |stats: &ContainerCpuStats| stats.system_cpu_usage.unwrap_or(0);
    let (used, whole) = (used(now).saturating_sub(used(before)), whole(now).saturating_sub(whole(before)));
    if whole == 0 {
        return 0.0;
    }
    used as f64 / whole as f64 * f64::from(now.online_cpus.unwrap_or(1)) * 100.0
}

/// The page cache of files that nobody has used lately is given back on demand: `total_inactive_file` on cgroup v1,
/// `inactive_file` on v2.
fn working_set(memory: &ContainerMemoryStats) -> u64 {
    let stats = memory.stats.as_ref();
    let reclaimable =
        stats.and_then(|stats| stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")));
    memory.usage.unwrap_or(0).saturating_sub(reclaimable.copied().unwrap_or(0))
}
