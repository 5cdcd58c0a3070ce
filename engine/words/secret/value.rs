//! A secret's value: zeroed when it is dropped, and printed by nothing.

use std::io::Read;

use zeroize::{Zeroize as _, Zeroizing};

/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Why something is no value, or cannot be read. Holds nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidValue {
    /// One sentence.
    pub message: String,
    /// What to do next.
    pub hint: Option<&'static str>,
    /// Whether the reader failed, and not what it gave.
    pub unread: bool,
}

/// A value. Has no `Debug`, `Display`, `Serialize` or `Clone`: whoever wants it must call [`SecretValue::expose`].
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// A text of 1 to [`MAX_VALUE_BYTES`] bytes without NUL; one that is refused is zeroed, too.
    pub fn new(text: String) -> Result<Self, InvalidValue> {
        let text = Zeroizing::new(text);
        if text.is_empty() {
            return Err(invalid("the value is empty", "a secret has at least one byte"));
        }
        if text.len() > MAX_VALUE_BYTES {
            return Err(too_long());
        }
        if text.contains('\0') {
            return Err(invalid(
                "the value holds a NUL byte",
                "neither headers nor environments can carry one; encode it, for example with `base64`",
            ));
        }
        Ok(Self(text))
    }

    /// The same from bytes, which must be UTF-8.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, InvalidValue> {
        if bytes.len() > MAX_VALUE_BYTES {
            drop(Zeroizing::new(bytes));
            return Err(too_long());
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::new(text),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(invalid("the value is not UTF-8 text", "encode it first, for example with `base64`"))
            }
        }
    }

    /// All that a reader gives; of a text that was typed or piped one end of line is taken off.
    ///
    /// # Errors
    /// What is no value, and what cannot be read.
    pub fn read(reader: impl Read, typed: bool) -> Result<Self, InvalidValue> {
        // Room for all of it: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_VALUE_BYTES + 4));
        reader.take(MAX_VALUE_BYTES as u64 + 3).read_to_end(&mut bytes).map_err(|error| InvalidValue {
            message: format!("the value cannot be read: {error}"),
            hint: None,
            unread: true,
        })?;
        if typed && bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Self::from_bytes(std::mem::take(&mut *bytes))
    }

    /// Whether two are the same.
    pub fn is(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }

    /// The plain text. Copy it nowhere that outlives its use.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn invalid(message: &str, hint: &'static str) -> InvalidValue {
    InvalidValue { message: message.to_owned(), hint: Some(hint), unread: false }
}

fn too_long() -> InvalidValue {
    invalid(
        "the value is longer than 64 KiB",
        "keep a key that opens it as a secret, and the large thing beside it, encrypted",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_of_a_reasonable_size() {
        assert_eq!(SecretValue::new("a\nb ü".to_owned()).ok().unwrap().expose(), "a\nb ü");
        assert!(SecretValue::new("x".repeat(MAX_VALUE_BYTES)).is_ok());
        for bad in [String::new(), "a\0b".to_owned(), "x".repeat(MAX_VALUE_BYTES + 1), "x".repeat(1 << 20)] {
            assert!(!SecretValue::new(bad).err().unwrap().unread);
        }
        let typed = |text: &str| SecretValue::read(text.as_bytes(), true).ok().unwrap().expose().to_owned();
        assert_eq!([typed("a"), typed("a\n"), typed("a\r\n"), typed("a\n\n")], ["a", "a", "a", "a\n"]);
        assert_eq!(SecretValue::read(&b"a\n"[..], false).ok().unwrap().expose(), "a\n");
        assert!(!SecretValue::read(std::io::repeat(b'x'), true).err().unwrap().unread);
        assert!(!SecretValue::from_bytes(vec![0xff, 0xfe]).err().unwrap().unread);
    }
}
