//! Text in pieces: a value that is split over several of them is taken out all the same.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use zeroize::Zeroize as _;

use super::scrubber::Scrubber;

/// Whose values are taken out.
enum Knows {
    This(Arc<Scrubber>),
    /// The one of this process, which may learn more while the stream goes on.
    Process,
}

/// Takes values out of text that comes in pieces. Holds back only what may be the beginning of one.
pub struct Stream {
    knows: Knows,
    held: Vec<u8>,
}

impl Stream {
    pub(super) fn through(scrubber: Arc<Scrubber>) -> Self {
        Self { knows: Knows::This(scrubber), held: Vec::new() }
    }

    pub(super) fn of_process() -> Self {
        Self { knows: Knows::Process, held: Vec::new() }
    }

    /// What is settled once this piece has come.
    pub fn push<'p>(&mut self, piece: &'p [u8]) -> Cow<'p, [u8]> {
        if matches!(self.knows, Knows::Process) && self.held.is_empty() && !super::active() {
            return Cow::Borrowed(piece);
        }
        self.held.extend_from_slice(piece);
        Cow::Owned(self.settle(false))
    }

    /// The rest; nothing follows.
    pub fn finish(&mut self) -> Vec<u8> {
        if self.held.is_empty() { Vec::new() } else { self.settle(true) }
    }

    fn settle(&mut self, last: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len());
        let settled = match &self.knows {
            Knows::This(scrubber) => scrubber.pass(&self.held, last, &mut out),
            Knows::Process => super::with(|scrubber| scrubber.pass(&self.held, last, &mut out)),
        };
        self.held.drain(..settled);
        out
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.held.zeroize();
    }
}

/// See [`super::writer`].
pub(super) struct Writer<W: Write> {
    stream: Stream,
    to: W,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> Self {
        Self { stream: Stream::of_process(), to }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let settled = self.stream.push(bytes);
        self.to.write_all(&settled)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.to.write_all(&self.stream.finish()).and_then(|()| self.to.flush());
    }
}
