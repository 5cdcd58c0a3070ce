//! What a container printed: the last lines of this life, or of those before it.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::models::ContainerState;
use bollard::query_parameters::LogsOptionsBuilder;
use chrono::{DateTime, FixedOffset};
use futures_util::StreamExt;

use crate::containers::daemon::{Daemon, read};
use crate::containers::error::Error;

/// The most lines at once.
const MAX_LINES: u32 = 10_000;
/// The most lines of a container with a terminal: bollard holds its lines whole, however long they are.
const MAX_TERMINAL_LINES: u32 = 1_000;
/// The most text at once; older lines give way.
const MAX_BYTES: usize = 1 << 20;
/// The longest line; what is beyond is cut.
const MAX_LINE_BYTES: usize = 64 << 10;

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
        let lines = lines.min(if terminal { MAX_TERMINAL_LINES } else { MAX_LINES });
        let id = raw.id.clone().unwrap_or_default();
        let before = previous.then(|| end_of_previous(&raw.state.clone().unwrap_or_default()));
        let before = match before {
            Some(None) => return Ok(String::new()),
            Some(Some(moment)) => Some(moment),
            None => None,
        };
        let name = raw.name.unwrap_or_default();
        let call = read("read the logs of container", name.trim_start_matches('/'));
        self.ask(call, async |docker| {
            let mut options = LogsOptionsBuilder::default().stdout(true).stderr(true);
            options = match before {
                // Docker's `tail` counts before `until` cuts: so all, of which the newest are kept here.
                Some(moment) => options.tail("all").timestamps(true).until(second_after(moment)),
                None => options.tail(&lines.to_string()),
            };
            let mut tail = Tail::new(lines as usize);
            let mut stream = docker.logs(&id, Some(options.build()));
            while let Some(piece) = stream.next().await {
                let piece = piece?;
                let to = usize::from(matches!(piece, LogOutput::StdErr { .. }));
                let bytes = piece.into_bytes();
                match before {
                    None => tail.take(to, &bytes),
                    Some(moment) => {
                        if let Some((at, text)) = stamped(&bytes)
                            && at <= moment
                        {
                            tail.take(to, text);
                        }
                    }
                }
            }
            Ok(tail.end())
        })
        .await
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
