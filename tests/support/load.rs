//! Clients of a service: a thread that asks every replica by its own address, over and over.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::docker::try_docker;
use super::service::Service;

/// How long a client waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The port of the test image.
const PORT: u16 = 8080;

/// What the clients saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Rounds over all replicas.
    pub(crate) rounds: usize,
    /// Answers in all.
    pub(crate) answers: usize,
    /// The fewest replicas that answered in one round.
    pub(crate) fewest: usize,
}

/// Clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Load {
    pub(crate) fn on(service: &Service) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (names, stopped) = (service.replicas(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut seen = Seen { rounds: 0, answers: 0, fewest: names.len() };
            while !stopped.load(Ordering::Relaxed) {
                let answers = names.iter().filter(|name| answers(name)).count();
                seen = Seen {
                    rounds: seen.rounds + 1,
                    answers: seen.answers + answers,
                    fewest: seen.fewest.min(answers),
                };
                std::thread::sleep(Duration::from_millis(50));
            }
            seen
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the clients")
    }
}

/// Whether a container answers now; its address may have changed with its last start.
fn answers(name: &str) -> bool {
    let found = try_docker(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", name]).stdout;
    let Ok(ip) = String::from_utf8_lossy(&found).trim().parse() else { return false };
    get(SocketAddr::new(ip, PORT)).is_some_and(|answer| answer.contains("200 OK"))
}

fn get(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
