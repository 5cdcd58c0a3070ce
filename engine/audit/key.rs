//! The engine's Ed25519 key and the two texts it is kept in, those of the C2SP signed note (c2sp.org/signed-note).
//!
//! Knows nothing of what is signed.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::error::Error;
use words::own_file;

/// The private key, in the data directory, for its owner's eyes only.
pub const PRIVATE_KEY_FILE: &str = "audit.key";

/// The public key, in the data directory, to be copied elsewhere.
pub const PUBLIC_KEY_FILE: &str = "audit.pub";

/// The algorithm byte of Ed25519 in a signed note.
const ED25519: u8 = 1;

/// What every private key's text begins with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// No key's text is longer, in bytes.
const MAX_KEY_TEXT_BYTES: u64 = 1024;

/// What signatures are checked with. Its text is `NAME+HASH+KEY`, the "verifier key" of the signed note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

/// A text that is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a verifier key: {0}")]
pub struct InvalidKey(&'static str);

impl VerifierKey {
    /// Whose key it is: also the origin line of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of a hash over name and key, by which a signature names its key.
    pub(super) fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        write!(f, "{}+{id:08x}+{}", self.name, BASE64.encode(tagged(self.key.as_bytes())))
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (name, id, bytes) = parts(text.trim())?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidKey("not a point of the curve"))?;
        let key = Self { name, key };
        if key.id() == id { Ok(key) } else { Err(InvalidKey("its hash does not belong to it")) }
    }
}

/// What checkpoints are signed with.
pub(super) struct SignerKey {
    secret: SigningKey,
    public: VerifierKey,
}

impl SignerKey {
    /// A new key from the system's randomness, named after itself so that no two logs share an origin.
    pub(super) fn generate() -> Result<Self, Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::environment("make a key", error.to_string()))?;
        let secret = SigningKey::from_bytes(&seed);
        let hash = Sha256::digest(secret.verifying_key().as_bytes());
        let tail =
            u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
        Ok(Self::new(format!("runbook.audit/{tail:016x}"), secret))
    }

    fn new(name: String, secret: SigningKey) -> Self {
        let public = VerifierKey { name, key: secret.verifying_key() };
        Self { secret, public }
    }

    /// The key in the data directory; none if there is none.
    pub(super) fn load(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(PRIVATE_KEY_FILE);
        let Some(text) = read_short(&path)? else { return Ok(None) };
        let damaged = |error: InvalidKey| Error::damaged(format!("`{}`: {error}", path.display()));
        let text = text.trim().strip_prefix(PRIVATE).ok_or(damaged(InvalidKey("not a private key")))?;
        let (name, id, seed) = parts(text).map_err(damaged)?;
        let key = Self::new(name, SigningKey::from_bytes(&seed));
        if key.public.id() == id {
            Ok(Some(key))
        } else {
            Err(damaged(InvalidKey("its hash does not belong to it")))
        }
    }

    /// Writes both files. The public one can be made again from the private one, so only that is synced.
    pub(super) fn store(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(PRIVATE_KEY_FILE);
        let id = u32::from_be_bytes(self.public.id());
        let seed = BASE64.encode(tagged(self.secret.as_bytes()));
        let text = format!("{PRIVATE}{}+{id:08x}+{seed}\n", self.public.name);
        let write = || -> std::io::Result<()> {
            // Half a key would look like a damaged one for ever.
            let half = dir.join(format!("{PRIVATE_KEY_FILE}.new"));
            let mut options = OpenOptions::new();
            let mut file = own_file::open_with(&half, options.write(true).create(true).truncate(true))?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            std::fs::rename(&half, &path)
        };
        write().map_err(|error| Error::io("write", &path, &error))?;
        self.publish(dir)
    }

    /// Writes the public key beside the private one, unless it is there.
    pub(super) fn publish(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(PUBLIC_KEY_FILE);
        let text = format!("{}\n", self.public);
        match read_short(&path)? {
            None => {}
            Some(found) if found == text => return Ok(()),
            // Cut off when the machine stopped.
            Some(found) if text.starts_with(&found) => {}
            Some(_) => {
                let what = format!("`{}` is not the public key of `{PRIVATE_KEY_FILE}`", path.display());
                return Err(Error::damaged(what));
            }
        }
        std::fs::write(&path, text).map_err(|error| Error::io("write", &path, &error))
    }

    pub(super) fn public(&self) -> &VerifierKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}

/// The public key in the data directory.
pub fn public_key(dir: &Path) -> Result<VerifierKey, Error> {
    let path = dir.join(PUBLIC_KEY_FILE);
    let Some(text) = read_short(&path)? else {
        return Err(Error::damaged(format!("`{}` is missing", path.display())));
    };
    text.parse().map_err(|error| Error::damaged(format!("`{}`: {error}", path.display())))
}

fn read_short(path: &Path) -> Result<Option<String>, Error> {
    match own_file::read_text(path, MAX_KEY_TEXT_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, &error)),
    }
}

fn tagged(key: &[u8; 32]) -> [u8; 33] {
    let mut bytes = [ED25519; 33];
    bytes[1..].copy_from_slice(key);
    bytes
}

/// Name, hash and the 32 bytes of `NAME+HASH+KEY`.
fn parts(text: &str) -> Result<(String, [u8; 4], [u8; 32]), InvalidKey> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(InvalidKey("it must look like `NAME+HASH+KEY`"));
    };
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(InvalidKey("its name is empty or has blanks"));
    }
    if id.len() != 8 {
        return Err(InvalidKey("its hash must be eight hex digits"));
    }
    let id = u32::from_str_radix(id, 16).map_err(|_| InvalidKey("its hash must be eight hex digits"))?;
    let bytes = BASE64.decode(key).map_err(|_| InvalidKey("its key is not base64"))?;
    match <[u8; 33]>::try_from(bytes) {
        Ok(bytes) if bytes[0] == ED25519 => {
            let mut key = [0; 32];
            key.copy_from_slice(&bytes[1..]);
            Ok((name.to_owned(), id.to_be_bytes(), key))
        }
        _ => Err(InvalidKey("it is not an Ed25519 key")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_survives_its_files_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(SignerKey::load(dir.path()).unwrap().is_none());
        let key = SignerKey::generate().unwrap();
        key.store(dir.path()).unwrap();
        let again = SignerKey::load(dir.path()).unwrap().unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(&public_key(dir.path()).unwrap(), key.public());
        let mode = std::fs::metadata(dir.path().join(PRIVATE_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_example_of_the_signed_note_specification_is_understood() {
        // From the documentation of Go's `golang.org/x/mod/sumdb/note`.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!((key.name(), key.to_string().as_str()), ("PeterNeumann", text));
        assert!(
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
                .parse::<VerifierKey>()
                .is_err()
        );
    }
}
