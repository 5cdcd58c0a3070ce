//! Asks for what nobody may see on the screen.

use std::io::{IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::cli::context::Context;
use crate::error::{Error, Kind};
use words::secret::{MAX_VALUE_BYTES, SecretValue};

/// What Ctrl-C, Ctrl-D, Ctrl-U and the two keys that delete send.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const KILL: u8 = 0x15;
const ERASE: [u8; 2] = [8, 0x7f];

/// Whether there is a person at a terminal.
pub(super) fn possible() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks once.
pub(super) fn once(context: &Context, question: &str) -> Result<SecretValue, Error> {
    // Before the question: what is typed in answer to it is never shown.
    let quiet = Quiet::new()?;
    context.out.talk_raw(&format!("{question} "));
    let line = line(&quiet);
    context.out.talk_raw("\n");
    drop(quiet);
    Ok(SecretValue::from_bytes(line?)?)
}

/// Asks twice, because nobody sees what was typed.
pub(super) fn twice(context: &Context, question: &str) -> Result<SecretValue, Error> {
    let first = once(context, question)?;
    let again = once(context, "Once more:")?;
    if first.is(&again) {
        Ok(first)
    } else {
        Err(Error::invalid("the two are not the same").hint("nothing was changed; try again"))
    }
}

/// A new passphrase: asked twice of a person, else the first line of stdin.
pub(super) fn new_passphrase(context: &Context, question: &str) -> Result<SecretValue, Error> {
    if possible() { twice(context, question) } else { piped() }
}

/// A passphrase that exists: asked once of a person, else the first line of stdin.
pub(super) fn passphrase(context: &Context, question: &str) -> Result<SecretValue, Error> {
    if possible() { once(context, question) } else { piped() }
}

fn piped() -> Result<SecretValue, Error> {
    let value = SecretValue::read(std::io::stdin().lock(), true)?;
    if value.expose().contains('\n') {
        return Err(Error::usage("stdin holds more than one line").hint("a passphrase is one line"));
    }
    Ok(value)
}

/// The terminal as it was, put back when dropped.
struct Quiet(Termios);

impl Quiet {
    fn new() -> Result<Self, Error> {
        let cannot = |error: rustix::io::Errno| {
            Error::environment(format!("cannot hide what is typed: {error}"))
                .hint("give the value with --file, or on stdin")
        };
        let before = tcgetattr(std::io::stdin()).map_err(cannot)?;
        let mut quiet = before.clone();
        // Signals off, too: a program that ends here would leave the terminal mute.
        quiet.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).map_err(cannot)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// One line of the terminal, not shown.
fn line(_: &Quiet) -> Result<Vec<u8>, Error> {
    // Room for all of it: a vector that grows leaves copies behind.
    let mut line = Vec::with_capacity(MAX_VALUE_BYTES + 1);
    let left = || Error::new(Kind::Interrupted, "nothing was typed").hint("nothing was changed");
    // Byte by byte past every buffer: a buffer would keep a copy.
    let mut terminal = std::fs::File::open("/dev/stdin").map_err(|_| left())?;
    let mut byte = [0; 1];
    while let Ok(1) = terminal.read(&mut byte) {
        match byte[0] {
            b'\n' | b'\r' => return Ok(line),
            INTERRUPT => break,
            END if line.is_empty() => break,
            END => return Ok(line),
            KILL => line.clear(),
            erase if ERASE.contains(&erase) => erase_one(&mut line),
            typed if line.len() <= MAX_VALUE_BYTES => line.push(typed),
            _ => {}
        }
    }
    drop(SecretValue::from_bytes(line));
    Err(left())
}

/// Takes the last character off, which may be of several bytes.
fn erase_one(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        if byte & 0xc0 != 0x80 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::erase_one;

    #[test]
    fn a_whole_character_is_erased() {
        let mut line = "aü€".as_bytes().to_vec();
        erase_one(&mut line);
        assert_eq!(line, "aü".as_bytes());
        erase_one(&mut line);
        erase_one(&mut line);
        erase_one(&mut line);
        assert!(line.is_empty());
    }
}
