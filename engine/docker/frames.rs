//! What containers print, as the daemon sends it: frames of two streams, or the bytes of a terminal.
//!
//! A frame says how long it is, up to 4 GiB. So frames are handed on piece by piece as they come and never collected.

/// The bytes before each frame: the stream, three zeros, the length.
const HEADER_BYTES: usize = 8;
/// The number of standard error.
const STDERR: u8 = 2;

/// A part of what was printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'b> {
    /// Whether it was printed to standard error.
    pub(super) error: bool,
    /// Whether a frame begins with it; on a terminal, a line.
    pub(super) begins: bool,
    pub(super) bytes: &'b [u8],
}

/// Takes bytes in any portions and hands on pieces.
pub(super) struct Frames {
    terminal: bool,
    /// Of the next frame, as far as it has come.
    header: Vec<u8>,
    /// How much of the present frame is yet to come.
    left: usize,
    error: bool,
    begins: bool,
}

impl Frames {
    /// Of a container with a terminal, or of one without.
    pub(super) fn new(terminal: bool) -> Self {
        Self { terminal, header: Vec::with_capacity(HEADER_BYTES), left: 0, error: false, begins: true }
    }

    pub(super) fn take(&mut self, mut bytes: &[u8], mut give: impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            let length = if self.terminal {
                bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
            } else if self.left > 0 {
                self.left.min(bytes.len())
            } else {
                bytes = self.read_header(bytes);
                continue;
            };
            let (piece, rest) = bytes.split_at(length);
            give(Piece { error: self.error, begins: self.begins, bytes: piece });
            self.begins = self.terminal && piece.ends_with(b"\n");
            self.left = self.left.saturating_sub(length);
            bytes = rest;
        }
    }

    /// What is left behind the header, or behind this part of it.
    fn read_header<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (part, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.header.len()));
        self.header.extend_from_slice(part);
        if let [stream, _, _, _, a, b, c, d] = self.header[..] {
            self.header.clear();
            self.left = u32::from_be_bytes([a, b, c, d]) as usize;
            self.error = stream == STDERR;
            self.begins = true;
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    /// The frames, whole again, of bytes that come in portions of this length.
    fn read(terminal: bool, bytes: &[u8], portion: usize) -> Vec<(bool, String)> {
        let mut frames = Frames::new(terminal);
        let mut all: Vec<(bool, String)> = Vec::new();
        for portion in bytes.chunks(portion) {
            frames.take(portion, |piece| {
                let text = std::str::from_utf8(piece.bytes).unwrap();
                match all.last_mut() {
                    Some((_, whole)) if !piece.begins => whole.push_str(text),
                    _ => all.push((piece.error, text.to_owned())),
                }
            });
        }
        all
    }

    #[test]
    fn frames_are_read_in_any_portions() {
        let bytes = [frame(1, "out\nmore"), frame(2, ""), frame(2, "err"), frame(1, "end")].concat();
        let wanted = [(false, "out\nmore"), (true, "err"), (false, "end")];
        let lines = [(false, "one\n"), (false, "\n"), (false, "two")];
        let owned = |all: &[(bool, &str)]| -> Vec<(bool, String)> {
            all.iter().map(|(error, text)| (*error, (*text).to_owned())).collect()
        };
        for portion in 1..40 {
            assert_eq!(read(false, &bytes, portion), owned(&wanted), "{portion}");
            assert_eq!(read(true, b"one\n\ntwo", portion), owned(&lines), "{portion}");
        }
    }

    #[test]
    fn a_frame_of_4_gib_is_handed_on_as_it_comes() {
        let mut frames = Frames::new(false);
        let mut taken = 0;
        frames.take(&[1, 0, 0, 0, 255, 255, 255, 255], |_| unreachable!());
        for _ in 0..10 {
            frames.take(&[b'x'; 1000], |piece| taken += piece.bytes.len());
        }
        assert_eq!(taken, 10_000);
        assert!(frames.header.capacity() < 64);
    }
}
