//! The key that opens the store: where it comes from, and the file it is kept in.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::crypt::{self, Closed, Key};
use super::error::{Error, ErrorKind};
use super::index::{self, Index};
use super::settings::SecretsSettings;
use super::write;
use words::secret::SecretValue;

/// What systemd's credential with the key is called.
pub const KEY_CREDENTIAL: &str = "runbook-secrets-key";

/// What systemd's credential with the passphrase is called.
pub const PASSPHRASE_CREDENTIAL: &str = "runbook-secrets-passphrase";

/// The variable that holds the key.
pub const KEY_VARIABLE: &str = "RUNBOOK_SECRETS_KEY";

/// The variable that holds the passphrase.
pub const PASSPHRASE_VARIABLE: &str = "RUNBOOK_SECRETS_PASSPHRASE";

/// No file of keys is larger, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// [`KEY_VARIABLE`]
    Variable,
    /// A credential of systemd.
    Credential(PathBuf),
    /// A file.
    File(PathBuf),
    /// A file of the store that a passphrase opens.
    Passphrase(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str(KEY_VARIABLE),
            Self::Credential(path) => write!(f, "the credential `{}`", path.display()),
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Passphrase(path) => write!(f, "`{}`, behind a passphrase", path.display()),
        }
    }
}

/// The keys of one place.
pub(super) struct Keyring {
    pub(super) keys: Vec<Key>,
    pub(super) origin: Origin,
}

impl Keyring {
    /// From the first place that is set; none if no place is.
    pub(super) fn find(
        settings: &SecretsSettings,
        dir: &Path,
        index: Option<&Index>,
    ) -> Result<Option<Self>, Error> {
        if let Some(text) = &settings.given.key {
            let keys = Document::parse(text.expose(), &Origin::Variable)?.keys();
            return Ok(Some(Self { keys, origin: Origin::Variable }));
        }
        if let Some((path, bytes)) = credential(settings, KEY_CREDENTIAL)? {
            let origin = Origin::Credential(path);
            return Ok(Some(Self { keys: document(&bytes, &origin)?.keys(), origin }));
        }
        // As `is_behind_passphrase` has it.
        if let Some(file) = index.and_then(|index| index.passphrase.as_deref()) {
            return Self::behind_passphrase(settings, &dir.join(file)).map(Some);
        }
        let Some(path) = &settings.identity else { return Ok(None) };
        let origin = Origin::File(path.clone());
        Ok(Document::read(path)?.map(|document| Self { keys: document.keys(), origin }))
    }

    /// Whether [`Keyring::find`] would have to open it with a passphrase: no key is given that comes first.
    pub(super) fn is_behind_passphrase(settings: &SecretsSettings, index: &Index) -> Result<bool, Error> {
        Ok(index.passphrase.is_some()
            && settings.given.key.is_none()
            && credential(settings, KEY_CREDENTIAL)?.is_none())
    }

    fn behind_passphrase(settings: &SecretsSettings, path: &Path) -> Result<Self, Error> {
        let missing = || index::damaged(path, "it is missing");
        let sealed = write::read(path, MAX_BYTES)?.ok_or_else(missing)?;
        let passphrase = passphrase(settings)?.ok_or_else(|| {
            Error::new(ErrorKind::Locked, "the store of secrets opens with a passphrase, and none is given")
                .hint(format!(
                    "set {PASSPHRASE_VARIABLE}, or give the unit the credential `{PASSPHRASE_CREDENTIAL}`; `runbook secret` asks on a terminal"
                ))
        })?;
        let origin = Origin::Passphrase(path.to_owned());
        match crypt::open_with(&passphrase, &sealed) {
            Ok(plain) => Ok(Self { keys: document(&plain, &origin)?.keys(), origin }),
            Err(Closed::OtherKey) => {
                Err(Error::new(ErrorKind::Locked, "the passphrase does not open the store of secrets")
                    .hint("try again; without it only an export, or a copy with its own key, helps"))
            }
            Err(Closed::TooMuchWork) => Err(index::damaged(path, "it asks for too much work")),
            Err(Closed::Damaged) => Err(index::damaged(path, "it is no whole age file")),
        }
    }

    /// That one of the keys opens this store.
    pub(super) fn check(&self, index: &Index) -> Result<(), Error> {
        if self.opens(index) {
            return Ok(());
        }
        let held: Vec<String> = self.keys.iter().map(|key| format!("`{}`", key.public())).collect();
        let what = format!(
            "the key of {} does not open the store of secrets, which is encrypted to `{}`",
            self.origin, index.recipient
        );
        Err(Error::new(ErrorKind::Locked, what).hint(format!(
            "it holds {}; give the right one in {KEY_VARIABLE}, as a credential or in the file that [secrets] identity names",
            held.join(", ")
        )))
    }

    pub(super) fn opens(&self, index: &Index) -> bool {
        self.keys.iter().any(|key| key.public() == index.recipient)
    }
}

/// That no place has a key.
pub(super) fn keyless(settings: &SecretsSettings) -> Error {
    let place = settings.identity.as_ref().map_or_else(
        || "the file that [secrets] identity names in runbook.toml".to_owned(),
        |path| format!("`{}`", path.display()),
    );
    Error::new(ErrorKind::Locked, format!("there is no key for the store of secrets: {place} does not exist"))
        .hint(format!(
            "put it back, or give the key in {KEY_VARIABLE} or as the credential `{KEY_CREDENTIAL}`"
        ))
}

/// The passphrase that was given, if one was.
pub(super) fn passphrase(settings: &SecretsSettings) -> Result<Option<std::sync::Arc<SecretValue>>, Error> {
    if let Some(given) = &settings.given.passphrase {
        return Ok(Some(std::sync::Arc::clone(given)));
    }
    let Some((path, bytes)) = credential(settings, PASSPHRASE_CREDENTIAL)? else { return Ok(None) };
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes).to_vec();
    let value = SecretValue::from_bytes(text)
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("`{}` is no passphrase", path.display())))?;
    Ok(Some(std::sync::Arc::new(value)))
}

/// systemd guards its directory itself, with modes of its own.
fn credential(settings: &SecretsSettings, name: &str) -> Result<Option<(PathBuf, crypt::Plain)>, Error> {
    let Some(path) = settings.given.credentials.as_ref().map(|dir| dir.join(name)) else { return Ok(None) };
    Ok(write::read(&path, MAX_BYTES)?.map(|bytes| (path, bytes)))
}

fn document(bytes: &[u8], origin: &Origin) -> Result<Document, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| no_keys(origin))?;
    Document::parse(text, origin)
}

fn no_keys(origin: &Origin) -> Error {
    Error::new(ErrorKind::Damaged, format!("{origin} holds no key")).hint(
        "it must hold what `age-keygen` writes: lines that begin with `#`, and one `AGE-SECRET-KEY-1...`",
    )
}

/// The text keys are kept in, that of `age-keygen`: comments, and below them their key.
pub(super) struct Document {
    pub(super) blocks: Vec<Block>,
}

/// A key and what is said of it.
#[derive(Clone)]
pub(super) struct Block {
    pub(super) comments: Vec<String>,
    pub(super) key: Key,
}

impl Document {
    fn parse(text: &str, origin: &Origin) -> Result<Self, Error> {
        let (mut blocks, mut comments) = (Vec::new(), Vec::new());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                comments.push(line.to_owned());
                continue;
            }
            let key = Key::parse(line).ok_or_else(|| no_keys(origin))?;
            blocks.push(Block { comments: std::mem::take(&mut comments), key });
        }
        if blocks.is_empty() { Err(no_keys(origin)) } else { Ok(Self { blocks }) }
    }

    /// The one of a file; none if there is none. A file that others can read is refused.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let Some(bytes) = write::read(path, MAX_BYTES)? else { return Ok(None) };
        let found = std::fs::metadata(path).map_err(|error| Error::io("look at", path, &error))?;
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let shown = path.display();
            let what = format!("the key in `{shown}` can be read by others: its mode is {mode:o}");
            return Err(Error::new(ErrorKind::TooOpen, what).hint(format!(
                "`chmod 600 {shown}`; if somebody may have read it, then `runbook secret rekey`"
            )));
        }
        document(&bytes, &Origin::File(path.to_owned())).map(Some)
    }

    pub(super) fn text(&self) -> Zeroizing<String> {
        // Room for all of it: a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
        for block in &self.blocks {
            for comment in &block.comments {
                text.push_str(comment);
                text.push('\n');
            }
            text.push_str(&block.key.text());
            text.push('\n');
        }
        text
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.blocks.iter().map(|block| block.key.clone()).collect()
    }
}

impl Block {
    /// A key with what a person who finds the file should know.
    pub(super) fn new(key: Key, first: String) -> Self {
        let public = format!("# public key: {}", key.public());
        Self { comments: vec![first, public], key }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::settings::Given;
    use super::*;

    fn given(key: &Key) -> Given {
        let text = SecretValue::new(key.text().to_string()).ok().unwrap();
        Given { key: Some(Arc::new(text)), ..Given::default() }
    }

    #[test]
    fn the_first_place_that_is_set_gives_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let [variable, credential, file] = [0; 3].map(|_| Key::generate());
        let path = dir.path().join("identity");
        let mut settings = SecretsSettings { identity: Some(path.clone()), ..SecretsSettings::default() };
        let found = |settings: &SecretsSettings| {
            Keyring::find(settings, dir.path(), None).unwrap().map(|ring| ring.keys[0].public())
        };
        assert_eq!(found(&settings), None);
        write::create(&path, file.text().as_bytes()).unwrap();
        assert_eq!(found(&settings), Some(file.public()));
        write::create(&dir.path().join(KEY_CREDENTIAL), credential.text().as_bytes()).unwrap();
        settings.given.credentials = Some(dir.path().to_owned());
        assert_eq!(found(&settings), Some(credential.public()));
        settings.given = Given { credentials: settings.given.credentials.clone(), ..given(&variable) };
        assert_eq!(found(&settings), Some(variable.public()));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        write::create(&path, Key::generate().text().as_bytes()).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o666, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Document::read(&path).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::TooOpen);
            assert!(error.way_out().unwrap().contains("chmod 600"));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Document::read(&path).unwrap().is_some());
    }

    #[test]
    fn comments_stay_with_their_key() {
        let (a, b) = (Key::generate(), Key::generate());
        let text = format!("# one\n\n{}\n# two\n# more\n{}\n", *a.text(), *b.text());
        let document = Document::parse(&text, &Origin::Variable).ok().unwrap();
        assert_eq!(document.blocks[1].comments, ["# two", "# more"]);
        assert_eq!(*document.text(), text.replace("\n\n", "\n"));
        for bad in ["", "# nothing", "AGE-SECRET-KEY-1", "age1xyz"] {
            let error = Document::parse(bad, &Origin::Variable).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Damaged);
        }
    }
}
