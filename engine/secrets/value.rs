//! A secret's value: zeroed when it is dropped, and printed by nothing.

use std::io::Read;

use zeroize::{Zeroize as _, Zeroizing};

use super::error::{Error, ErrorKind};

/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// A value. Has no `Debug`, `Display`, `Serialize` or `Clone`: whoever wants it must call [`SecretValue::expose`].
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// A text of 1 to [`MAX_VALUE_BYTES`] bytes without NUL; one that is refused is zeroed, too.
    pub fn new(text: String) -> Result<Self, Error> {
        let text = Zeroizing::new(text);
        if text.is_empty() {
            return Err(invalid("the value is empty").hint("a secret has at least one byte"));
        }
        if text.len() > MAX_VALUE_BYTES {
            return Err(too_long());
        }
        if text.contains('\0') {
            return Err(invalid("the value holds a NUL byte").hint(
                "neither headers nor environments can carry one; encode it, for example with `base64`",
            ));
        }
        Ok(Self(text))
    }

    /// The same from bytes, which must be UTF-8.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.len() > MAX_VALUE_BYTES {
            drop(Zeroizing::new(bytes));
            return Err(too_long());
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::new(text),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(invalid("the value is not UTF-8 text").hint("encode it first, for example with `base64`"))
            }
        }
    }

    /// All that a reader gives; of a text that was typed or piped one end of line is taken off.
    ///
    /// # Errors
    /// `Invalid` for what is no value, `Io` where it cannot be read.
    pub fn read(reader: impl Read, typed: bool) -> Result<Self, Error> {
        // Room for all of it: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_VALUE_BYTES + 4));
        reader
            .take(MAX_VALUE_BYTES as u64 + 3)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::new(ErrorKind::Io, format!("the value cannot be read: {error}")))?;
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

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn too_long() -> Error {
    invalid("the value is longer than 64 KiB")
        .hint("keep a key that opens it as a secret, and the large thing beside it, encrypted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_of_a_reasonable_size() {
        assert_eq!(SecretValue::new("a\nb ü".to_owned()).ok().unwrap().expose(), "a\nb ü");
        assert!(SecretValue::new("x".repeat(MAX_VALUE_BYTES)).is_ok());
        for bad in [String::new(), "a\0b".to_owned(), "x".repeat(MAX_VALUE_BYTES + 1), "x".repeat(1 << 20)] {
            assert_eq!(SecretValue::new(bad).err().unwrap().kind(), ErrorKind::Invalid);
        }
        let typed = |text: &str| SecretValue::read(text.as_bytes(), true).ok().unwrap().expose().to_owned();
        assert_eq!([typed("a"), typed("a\n"), typed("a\r\n"), typed("a\n\n")], ["a", "a", "a", "a\n"]);
        assert_eq!(SecretValue::read(&b"a\n"[..], false).ok().unwrap().expose(), "a\n");
        assert_eq!(SecretValue::read(std::io::repeat(b'x'), true).err().unwrap().kind(), ErrorKind::Invalid);
        assert_eq!(SecretValue::from_bytes(vec![0xff, 0xfe]).err().unwrap().kind(), ErrorKind::Invalid);
    }
}
