//! What a container printed: the last lines of this life, or of those before it.

use std::collections::VecDeque;

use bollard::models::ContainerState;
use chrono::{DateTime, FixedOffset};
use http_body_util::BodyExt as _;

use crate::daemon::{Daemon, read};
use crate::error::Error;
use crate::frames::{Frames, Piece};

/// The most lines at once.
const MAX_LINES: u32 = 10_000;
/// The most text at once; older lines give way.
const MAX_BYTES: usize = 1 << 20;
/// The longest line; what is beyond is cut.
const MAX_LINE_BYTES: usize = 64 << 10;

/// The most bytes in which the time of a frame must end.
const MAX_STAMP_BYTES: usize = 64;

/// The newest lines, within the limits.
struct Tail {
    most: usize,
    bytes: usize,
    lines: VecDeque<String>,
    /// Beginnings of lines whose ends have not come yet: of standard output, standard error.
    partial: [Vec<u8>; 2],
}

impl Tail {
    fn new(most: usize) -> Self {
        Self { most, bytes: 0, lines: VecDeque::new(), partial: [Vec::new(), Vec::new()] }
    }

    fn take(&mut self, stream: usize, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(stream, &bytes[..end]);
            self.close(stream);
            bytes = &bytes[end + 1..];
        }
        self.extend(stream, bytes);
    }

    fn extend(&mut self, stream: usize, bytes: &[u8]) {
        let partial = &mut self.partial[stream];
        let room = MAX_LINE_BYTES - partial.len();
        partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn close(&mut self, stream: usize) {
        let line = String::from_utf8_lossy(&self.partial[stream]).trim_end_matches('\r').to_owned();
        self.partial[stream].clear();
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.lines.len() > self.most || self.bytes > MAX_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len() + 1;
        }
    }

    fn end(mut self) -> String {
        for stream in 0..self.partial.len() {
            if !self.partial[stream].is_empty() {
                self.close(stream);
            }
        }
        let mut text = String::with_capacity(self.bytes);
        for line in self.lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

impl Daemon {
    /// The last lines of both streams, oldest first. `previous` leaves out what the present life printed; empty if
    /// there was no life before.
    pub async fn logs(&self, id: &str, lines: u32, previous: bool) -> Result<String, Error> {
        let raw = self.raw(id).await?;
        let terminal = raw.config.as_ref().and_then(|config| config.tty).unwrap_or(false);
        let lines = lines.min(MAX_LINES);
        let id = raw.id.clone().unwrap_or_default();
        let before = previous.then(|| end_of_previous(&raw.state.clone().unwrap_or_default()));
        let before = match before {
            Some(None) => return Ok(String::new()),
            Some(Some(moment)) => Some(moment),
            None => None,
        };
        let name = raw.name.unwrap_or_default();
        let call = read("read the logs of container", name.trim_start_matches('/'));
        let query = match before {
            // Docker's `tail` counts before `until` cuts: so all, of which the newest are kept here.
            Some(moment) => {
                format!("stdout=true&stderr=true&tail=all&timestamps=true&until={}", second_after(moment))
            }
            None => format!("stdout=true&stderr=true&tail={lines}"),
        };
        let wire = self.wire().await?;
        self.ask(call, async |_| {
            let mut body = wire.logs(&id, &query).await?.into_body();
            let mut frames = Frames::new(terminal);
            let mut stamps = before.map(Stamps::new);
            let mut tail = Tail::new(lines as usize);
            while let Some(frame) = body.frame().await {
                let Ok(bytes) = frame?.into_data() else { continue };
                frames.take(&bytes, |piece| {
                    let to = usize::from(piece.error);
                    match &mut stamps {
                        None => tail.take(to, piece.bytes),
                        Some(stamps) => stamps.take(&piece, |text| tail.take(to, text)),
                    }
                });
            }
            Ok(tail.end())
        })
        .await
    }
}

/// Lets through what was printed up to a moment: frames begin with the time at which they were printed.
struct Stamps {
    until: DateTime<FixedOffset>,
    /// The beginning of a frame whose time has not come whole yet.
    head: Vec<u8>,
    state: Stamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Reading,
    Passed,
    Dropped,
}

impl Stamps {
    fn new(until: DateTime<FixedOffset>) -> Self {
        Self { until, head: Vec::new(), state: Stamp::Dropped }
    }

    fn take(&mut self, piece: &Piece<'_>, mut give: impl FnMut(&[u8])) {
        if piece.begins {
            self.head.clear();
            self.state = Stamp::Reading;
        }
        match self.state {
            Stamp::Passed => give(piece.bytes),
            Stamp::Dropped => {}
            Stamp::Reading => {
                let room = MAX_STAMP_BYTES - self.head.len().min(MAX_STAMP_BYTES);
                let (stamp, rest) = piece.bytes.split_at(piece.bytes.len().min(room));
                self.head.extend_from_slice(stamp);
                match stamped(&self.head) {
                    Some((at, text)) if at <= self.until => {
                        self.state = Stamp::Passed;
                        give(text);
                        give(rest);
                    }
                    None if self.head.len() < MAX_STAMP_BYTES => {}
                    _ => self.state = Stamp::Dropped,
                }
            }
        }
    }
}

/// The moment that separates the present life from the one before. A process may print before Docker notes its start,
/// and Docker may read the last words after it notes the end: so half way between the two.
fn end_of_previous(state: &ContainerState) -> Option<DateTime<FixedOffset>> {
    let moment = |text: Option<&String>| {
        let moment = DateTime::parse_from_rfc3339(text?).ok()?;
        // Docker's `never` is the year 1.
        (moment.timestamp() > 0).then_some(moment)
    };
    let started = moment(state.started_at.as_ref())?;
    match moment(state.finished_at.as_ref()) {
        Some(finished) if finished < started => Some(finished + (started - finished) / 2),
        // It does not run now: when the life before its last one ended is not known.
        Some(_) => Some(started),
        None => None,
    }
}

fn second_after(moment: DateTime<FixedOffset>) -> i32 {
    i32::try_from(moment.timestamp().saturating_add(1)).unwrap_or(i32::MAX)
}

/// `2026-01-02T03:04:05.678901234Z text`.
fn stamped(bytes: &[u8]) -> Option<(DateTime<FixedOffset>, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let at = DateTime::parse_from_rfc3339(std::str::from_utf8(&bytes[..space]).ok()?).ok()?;
    Some((at, &bytes[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay() {
        let mut tail = Tail::new(2);
        tail.take(0, b"one\ntw");
        tail.take(1, b"error\n");
        tail.take(0, b"o\nthree");
        assert_eq!(tail.end(), "two\nthree\n");
    }

    #[test]
    fn only_what_was_printed_before_the_moment_passes() {
        let stamp = |second: u32, text: &str| format!("2026-01-02T03:04:{second:02}.5Z {text}\n");
        let bytes = [stamp(1, "one"), stamp(2, "two"), "no time\n".to_owned(), stamp(3, "three")].concat();
        let until = DateTime::parse_from_rfc3339("2026-01-02T03:04:02.9Z").unwrap();
        for portion in 1..60 {
            let (mut frames, mut stamps, mut tail) = (Frames::new(true), Stamps::new(until), Tail::new(10));
            for bytes in bytes.as_bytes().chunks(portion) {
                frames.take(bytes, |piece| stamps.take(&piece, |text| tail.take(0, text)));
            }
            assert_eq!(tail.end(), "one\ntwo\n", "{portion}");
        }
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut tail = Tail::new(usize::MAX);
        for _ in 0..100 {
            tail.take(0, &vec![b'x'; 100_000]);
            tail.take(0, b"\n");
        }
        let text = tail.end();
        assert!(text.len() <= MAX_BYTES && text.len() > MAX_BYTES / 2);
    }
}
