//! A whole engine as a process in the background, and a client on its socket, as other processes meet it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use audit::Reader;
use runbook::api::client::Client;
use tokio::task::JoinSet;

use crate::memory::{Held, held_mib};
use crate::steps::request;

/// Requests at once.
const AT_ONCE: usize = 32;
/// Longer than any engine here takes to begin.
const PATIENCE: Duration = Duration::from_mins(2);
/// What `runbook run --detach` sets for the engine it begins.
const ALLOCATOR: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "1048576");

/// A run that waits for a person, but not for ever, so that its engine stays.
pub(crate) const ASKS: &str = "format: 1\nrunbook: asks\nsummary: Wait for a person.\nrisk: low\nsteps:\n  - { id: ask, summary: Ask., uses: ask.person, with: { question: Go on?, timeout: 20h } }\n";

/// See the module; killed when dropped.
pub(crate) struct Service {
    child: Child,
    data_dir: PathBuf,
    client: Client,
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Service {
    /// Begins it; it need not answer yet.
    pub(crate) fn begin(data_dir: &Path) -> Self {
        fs::create_dir_all(data_dir).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.arg("engine").arg("--data-dir").arg(data_dir).env(ALLOCATOR.0, ALLOCATOR.1);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, data_dir: data_dir.to_owned(), client: Client::new(data_dir) }
    }

    /// Until it answers.
    pub(crate) async fn ready(&self) {
        let began = Instant::now();
        while !matches!(self.client.health().await, Ok(Some(_))) {
            assert!(began.elapsed() < PATIENCE, "the engine does not answer");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Has so many runs of a runbook accepted.
    pub(crate) async fn submit(&self, text: &str, count: usize) {
        let mut under_way = JoinSet::new();
        for _ in 0..count {
            if under_way.len() >= AT_ONCE {
                under_way.join_next().await.unwrap().unwrap();
            }
            let (client, request) = (self.client.clone(), request(text));
            under_way.spawn(async move {
                let conversation = client.greet().await.unwrap().expect("an engine");
                drop(conversation.submit(&request).await.expect("an accepted run"));
            });
        }
        under_way.join_all().await;
    }

    /// Until no more than so many runs need it. That it is slow to answer on a busy machine is no reason to give up.
    pub(crate) async fn calm(&self, busy: usize) {
        while !matches!(self.client.health().await, Ok(Some(health)) if health.busy <= busy) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Until so many runs are what `status` says.
    pub(crate) async fn reached(&self, status: &str, count: usize) {
        let reader = Reader::open(&self.data_dir).unwrap();
        while reader.unfinished().unwrap().iter().filter(|row| row.status == status).count() < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What it holds.
    pub(crate) fn mib(&self, held: Held) -> f64 {
        held_mib(self.child.id(), held)
    }
}

/// An asynchronous runtime for the client.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
