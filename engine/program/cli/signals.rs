//! What a person, a terminal or whoever runs this program tells the process while a run is followed.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Kind};

/// Those that were not ignored when this process began: `nohup` and a shell's `&` mean what they say.
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// A person at the keyboard.
    Interrupt,
    /// Someone who wants the process to end, or a terminal that is gone.
    Terminate,
}

impl Told {
    /// What a command ends with that ends because of it.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Interrupt => Kind::Interrupted,
            Self::Terminate => Kind::Terminated,
        }
    }
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Error> {
        let ignored = ignored();
        let on = |kind: SignalKind| match ignored & (1 << (kind.as_raw_value() - 1)) {
            0 => signal(kind)
                .map(Some)
                .map_err(|error| Error::environment(format!("cannot listen for signals: {error}"))),
            _ => Ok(None),
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            () = heard(&mut self.interrupt) => Told::Interrupt,
            () = heard(&mut self.terminate) => Told::Terminate,
            () = heard(&mut self.hangup) => Told::Terminate,
        }
    }
}

async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// A bit for each signal that this process ignores, from the lowest. Once one is listened to, it is not ignored any more.
fn ignored() -> u64 {
    use std::sync::OnceLock;
    static AT_FIRST: OnceLock<u64> = OnceLock::new();
    *AT_FIRST.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    })
}
