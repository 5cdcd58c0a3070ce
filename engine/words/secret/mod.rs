//! A secret's name and its value. Where values are kept is none of this crate's business.

mod name;
mod value;

pub use name::{InvalidName, MAX_NAME_BYTES, SecretName};
pub use value::{InvalidValue, MAX_VALUE_BYTES, SecretValue};
