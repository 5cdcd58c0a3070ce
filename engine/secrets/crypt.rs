//! The `age` format: the only place that encrypts and decrypts.

use std::io::{Read as _, Write as _};
use std::str::FromStr as _;

use age::armor::ArmoredReader;
use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use zeroize::Zeroizing;

use super::error::{Error, ErrorKind};
use words::secret::SecretValue;

/// How hard a passphrase is to try, as a power of two: 128 MiB and some tenths of a second for each. Tests try many.
const WORK_FACTOR: u8 = if cfg!(test) { 8 } else { 17 };

/// Files of others may ask for this much, not for more: 1 GiB.
const MAX_WORK_FACTOR: u8 = 20;

/// Plain bytes, zeroed when dropped.
pub(super) type Plain = Zeroizing<Vec<u8>>;

/// A private X25519 key.
#[derive(Clone)]
pub(super) struct Key(x25519::Identity);

/// A public X25519 key, `age1...`.
#[derive(Clone)]
pub(super) struct Recipient(x25519::Recipient);

/// Why a file does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// It is encrypted to somebody else, or the passphrase is wrong.
    OtherKey,
    /// It asks for more work than any file should.
    TooMuchWork,
    /// It is no age file, or one that was changed.
    Damaged,
}

impl Key {
    pub(super) fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// `AGE-SECRET-KEY-1...`
    pub(super) fn parse(text: &str) -> Option<Self> {
        x25519::Identity::from_str(text).ok().map(Self)
    }

    pub(super) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }

    pub(super) fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// Its public half as text.
    pub(super) fn public(&self) -> String {
        self.0.to_public().to_string()
    }
}

impl Recipient {
    pub(super) fn parse(text: &str) -> Option<Self> {
        x25519::Recipient::from_str(text).ok().map(Self)
    }
}

/// Encrypts to each of the recipients.
pub(super) fn seal(recipients: &[Recipient], plain: &[u8]) -> Result<Vec<u8>, Error> {
    let all = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(all).map_err(|_| unsealed())?;
    written(encryptor, plain)
}

/// Encrypts with a passphrase.
pub(super) fn seal_with(passphrase: &SecretValue, plain: &[u8]) -> Result<Vec<u8>, Error> {
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase.expose().to_owned()));
    recipient.set_work_factor(WORK_FACTOR);
    let only = std::iter::once(&recipient as &dyn age::Recipient);
    written(Encryptor::with_recipients(only).map_err(|_| unsealed())?, plain)
}

fn written(encryptor: Encryptor, plain: &[u8]) -> Result<Vec<u8>, Error> {
    let mut sealed = Vec::with_capacity(plain.len() + 512);
    let write = || {
        let mut writer = encryptor.wrap_output(&mut sealed)?;
        writer.write_all(plain)?;
        writer.finish().map(drop)
    };
    write().map_err(|_: std::io::Error| unsealed())?;
    Ok(sealed)
}

fn unsealed() -> Error {
    Error::new(ErrorKind::Invalid, "nothing could be encrypted to these recipients")
        .hint("each must be an X25519 recipient as `age-keygen` prints it: `age1...`")
}

/// Whether a file wants a passphrase; no if it is none of age's.
pub(super) fn wants_passphrase(sealed: &[u8]) -> bool {
    Decryptor::new_buffered(ArmoredReader::new(sealed)).is_ok_and(|decryptor| decryptor.is_scrypt())
}

/// Opens a file with the first key that fits.
pub(super) fn open(keys: &[Key], sealed: &[u8]) -> Result<Plain, Closed> {
    let all: Vec<&dyn age::Identity> = keys.iter().map(|key| &key.0 as &dyn age::Identity).collect();
    read(sealed, &all)
}

/// Opens a file with a passphrase.
pub(super) fn open_with(passphrase: &SecretValue, sealed: &[u8]) -> Result<Plain, Closed> {
    let mut identity = scrypt::Identity::new(SecretString::from(passphrase.expose().to_owned()));
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    read(sealed, &[&identity])
}

fn read(sealed: &[u8], identities: &[&dyn age::Identity]) -> Result<Plain, Closed> {
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(|error| closed(&error))?;
    let mut reader = decryptor.decrypt(identities.iter().copied()).map_err(|error| closed(&error))?;
    // Room for all of it: a vector that grows leaves copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut plain).map_err(|_| Closed::Damaged)?;
    Ok(plain)
}

fn closed(error: &DecryptError) -> Closed {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            Closed::OtherKey
        }
        DecryptError::ExcessiveWork { .. } => Closed::TooMuchWork,
        _ => Closed::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_alone() {
        let (key, other) = (Key::generate(), Key::generate());
        let sealed = seal(&[key.recipient()], b"canary").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert_eq!(open(&[other.clone(), key], &sealed).unwrap().as_slice(), b"canary");
        assert_eq!(open(&[other], &sealed).unwrap_err(), Closed::OtherKey);
    }

    #[test]
    fn a_changed_byte_is_seen_anywhere() {
        let key = Key::generate();
        let sealed = seal(&[key.recipient()], b"canary").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x10;
            assert!(open(std::slice::from_ref(&key), &changed).is_err(), "at byte {at}");
        }
        assert!(open(&[key], &sealed[..sealed.len() - 1]).is_err());
    }

    #[test]
    fn a_passphrase_opens_its_file_and_another_does_not() {
        let value = |text: &str| SecretValue::new(text.to_owned()).ok().unwrap();
        let sealed = seal_with(&value("correct horse"), b"canary").unwrap();
        assert!(wants_passphrase(&sealed));
        assert_eq!(open_with(&value("correct horse"), &sealed).unwrap().as_slice(), b"canary");
        assert_eq!(open_with(&value("wrong horse"), &sealed).unwrap_err(), Closed::OtherKey);
    }
}
