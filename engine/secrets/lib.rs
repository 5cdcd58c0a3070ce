//! Secrets: a store of values encrypted at rest with `age`, the key that opens it, and the second line that takes known
//! values out of whatever is written.
//!
//! Knows no run and no plugin. What a value is never leaves this module but through [`SecretValue::expose`].

mod change;
mod crypt;
mod error;
mod health;
mod identity;
mod index;
mod keeper;
mod outside;
mod rekey;
pub mod scrub;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod transfer;
mod write;

pub use change::{Change, Fact};
pub use error::{Error, ErrorKind};
pub use health::Health;
pub use identity::{KEY_CREDENTIAL, KEY_VARIABLE, Origin, PASSPHRASE_CREDENTIAL, PASSPHRASE_VARIABLE};
pub use index::{MAX_SECRETS, MAX_VERSIONS};
pub use keeper::{Keeper, Version};
pub use outside::{AgeDirectory, Source};
pub use rekey::NewKey;
pub use settings::{Directory, Given, SecretsSettings};
pub use store::{DIRECTORY, Store, Summary, VersionSummary};
pub use transfer::{Existing, Export, For, Import, With, wants_passphrase};
