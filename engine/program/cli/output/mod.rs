//! The only place that writes to the terminal. Data goes to stdout, talk to stderr; a closed pipe is not an error, data
//! that is lost in any other way is. What secrets this process knows is taken out of both.
//! Knows shapes and colours, no domain.

pub(crate) mod paint;
pub(crate) mod table;
pub(crate) mod time;

use std::io::{IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use crate::config::Environment;
use crate::error::Error;
use paint::Paint;
use secrets::scrub;
use words::text::{for_json, for_terminal};

/// Of lines, where nobody says otherwise.
const DEFAULT_WIDTH: usize = 100;

/// Of the screen, where it does not say.
const DEFAULT_HEIGHT: usize = 24;

/// How data is written: text for people, or one JSON document for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// When colours are used; `auto` means on a terminal, unless `NO_COLOR` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorWish {
    #[default]
    Auto,
    Always,
    Never,
}

/// Where everything is written.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    /// Colours of stdout.
    pub(crate) paint: Paint,
    /// Colours of stderr.
    pub(crate) talk_paint: Paint,
    stdout_is_terminal: bool,
    asks: bool,
    width: usize,
    closed: AtomicBool,
    /// Why data was lost, shared by all who write there.
    lost: Arc<OnceLock<String>>,
}

impl Output {
    /// As the flags, the environment and the terminal say.
    pub(crate) fn new(format: Format, color: ColorWish, environment: &Environment) -> Self {
        let stdout_is_terminal = std::io::stdout().is_terminal();
        let stderr_is_terminal = std::io::stderr().is_terminal();
        let plain = environment.no_color || environment.term.as_deref() == Some("dumb");
        let colours = |terminal: bool| match color {
            ColorWish::Auto => terminal && !plain,
            ColorWish::Always => true,
            ColorWish::Never => false,
        };
        Self {
            format,
            paint: Paint(colours(stdout_is_terminal)),
            talk_paint: Paint(colours(stderr_is_terminal)),
            stdout_is_terminal,
            asks: std::io::stdin().is_terminal() && stderr_is_terminal,
            width: width(environment.columns),
            closed: AtomicBool::new(false),
            lost: Arc::default(),
        }
    }

    /// The same places once more.
    pub(crate) fn again(&self) -> Self {
        Self { closed: AtomicBool::new(self.closed()), lost: Arc::clone(&self.lost), ..*self }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        self.asks
    }

    /// Whether lines already written can be redrawn.
    pub(crate) fn can_redraw(&self) -> bool {
        self.stdout_is_terminal && self.format == Format::Text
    }

    /// Columns of the terminal.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Columns of tables: cut on a terminal, whole elsewhere.
    pub(crate) fn table_width(&self) -> Option<usize> {
        self.can_redraw().then_some(self.width)
    }

    /// Rows of the terminal.
    #[expect(clippy::unused_self, reason = "asked like the width")]
    pub(crate) fn height(&self) -> usize {
        let of_terminal =
            rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| usize::from(size.ws_row));
        of_terminal.ok().filter(|rows| *rows > 0).unwrap_or(DEFAULT_HEIGHT)
    }

    /// Whether the reader of stdout has gone.
    pub(crate) fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Data, with an end of line.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.raw(&format!("{}\n", text.as_ref()));
    }

    /// Data, without an end of line. Hidden characters are written out.
    pub(crate) fn raw(&self, text: &str) {
        self.write(for_terminal(&scrub::text(text)).as_bytes());
    }

    /// Data that programs take as it is; on a terminal hidden characters are written out all the same.
    pub(crate) fn exact(&self, text: &str) {
        if self.stdout_is_terminal {
            self.raw(text);
        } else {
            self.write(scrub::text(text).as_bytes());
        }
    }

    fn write(&self, bytes: &[u8]) {
        if self.closed() {
            return;
        }
        let mut stdout = std::io::stdout().lock();
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            self.closed.store(true, Ordering::Relaxed);
            if let Some(why) = loss(&error, self.stdout_is_terminal) {
                let _ = self.lost.set(why);
            }
        }
    }

    /// The text of a secret that a person asked for by name, and the audit log knows of: the one thing that is never scrubbed.
    pub(crate) fn revealed(&self, text: &str) {
        self.write(text.as_bytes());
    }

    /// That what was written to stdout did not all arrive: who reads it must not take it for whole.
    pub(crate) fn lost(&self) -> Option<Error> {
        let why = self.lost.get()?;
        let hint = "what was done is done; ask again with the output elsewhere, for example `runbook runs show last`";
        Some(Error::environment(format!("cannot write to stdout: {why}")).hint(hint))
    }

    /// Draws rows over those drawn before.
    pub(crate) fn redraw(&self, before: usize, rows: &[String]) {
        let mut text = if before > 0 { format!("\u{1b}[{before}A\r\u{1b}[J") } else { String::new() };
        for row in rows {
            text.push_str(&for_terminal(&scrub::text(row)));
            text.push('\n');
        }
        self.write(text.as_bytes());
    }

    /// A document for programs.
    pub(crate) fn json(&self, document: &impl Serialize) {
        let written = scrubbed(document, true);
        let written = written.unwrap_or_else(|error| {
            json!({"error": {"kind": "internal", "message": error.to_string()}}).to_string()
        });
        self.write(format!("{}\n", for_json(&written)).as_bytes());
    }

    /// One document of many, on a line of its own.
    pub(crate) fn json_line(&self, document: &impl Serialize) {
        if let Ok(line) = scrubbed(document, false) {
            self.write(format!("{}\n", for_json(&line)).as_bytes());
        }
    }

    /// Talk, with an end of line.
    pub(crate) fn talk(&self, text: impl AsRef<str>) {
        self.talk_raw(&format!("{}\n", text.as_ref()));
    }

    /// Talk, without an end of line. Hidden characters are written out.
    #[expect(clippy::unused_self, reason = "all writing goes through the one who knows the terminal")]
    pub(crate) fn talk_raw(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(for_terminal(&scrub::text(text)).as_bytes()).and_then(|()| stderr.flush());
    }

    /// What to do next.
    pub(crate) fn hint(&self, text: &str) {
        self.talk(format!("{} {text}", self.talk_paint.cyan("hint:")));
    }

    /// Something a person should know.
    pub(crate) fn warning(&self, text: &str) {
        self.talk(format!("{} {text}", self.talk_paint.yellow("warning:")));
    }

    /// An error: for people on stderr, for programs also as the document on stdout.
    pub(crate) fn error(&self, error: &Error) {
        if let Some(detail) = &error.detail {
            self.talk(detail.trim_end());
        }
        self.talk(format!("{} {}", self.talk_paint.red("error:"), error.message));
        if let Some(hint) = &error.hint {
            self.hint(hint);
        }
        if self.is_json() {
            self.json(&json!({ "error": error }));
        }
    }

    /// Asks and reads one line; nothing if nobody answers.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        if !self.asks {
            return None;
        }
        self.talk_raw(&format!("{} ", self.talk_paint.bold(question)));
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim().to_owned()),
        }
    }

    /// A question answered by `y`; anything else is no.
    pub(crate) fn confirm(&self, question: &str) -> bool {
        self.ask(&format!("{question} [y/N]"))
            .is_some_and(|answer| matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }
}

/// A document by its parts, so that it stays one: numbers are no secrets.
fn scrubbed(document: &impl Serialize, pretty: bool) -> serde_json::Result<String> {
    let written =
        if pretty { serde_json::to_string_pretty(document) } else { serde_json::to_string(document) }?;
    if scrub::first(&written).is_none() {
        return Ok(written);
    }
    let document = scrub::document(serde_json::to_value(document)?);
    if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }
}

/// A writer of whole lines through which nothing hidden passes.
pub(crate) struct Shown<W>(pub(crate) W);

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(for_terminal(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Why data is lost; not if its reader has gone, who wanted no more. Of a terminal that was closed an I/O error tells.
fn loss(error: &std::io::Error, terminal: bool) -> Option<String> {
    let closed = terminal && error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    (!closed && error.kind() != std::io::ErrorKind::BrokenPipe).then(|| crate::error::reason(error))
}

fn width(columns: Option<usize>) -> usize {
    let of_terminal =
        rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    of_terminal.filter(|width| *width > 0).or(columns).unwrap_or(DEFAULT_WIDTH).max(40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_has_gone_loses_nothing_and_a_full_disk_does() {
        use std::io::{Error, ErrorKind};
        assert_eq!(loss(&Error::from(ErrorKind::BrokenPipe), false), None);
        assert_eq!(loss(&Error::from_raw_os_error(28), false).as_deref(), Some("no space left on device"));
        assert_eq!(loss(&Error::from_raw_os_error(5), true), None, "the terminal was closed");
        assert!(loss(&Error::from_raw_os_error(5), false).is_some(), "the disk is broken");
    }
}
