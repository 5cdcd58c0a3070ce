//! What a person or a terminal tells the process while a run is followed.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// Interrupts, ends, and lost terminals.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Listened to, so that a lost terminal does not end the process; nothing is done about it.
    _hangup: Option<Signal>,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// A person at the keyboard.
    Interrupt,
    /// Someone who wants the process to end.
    Terminate,
}

impl Signals {
    /// Listens from now on; with `outlive` the process survives its terminal.
    pub(crate) fn listen(outlive: bool) -> Result<Self, Error> {
        let on = |kind: SignalKind| {
            signal(kind).map_err(|error| Error::environment(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            _hangup: if outlive { Some(on(SignalKind::hangup())?) } else { None },
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Interrupt,
            _ = self.terminate.recv() => Told::Terminate,
        }
    }
}
