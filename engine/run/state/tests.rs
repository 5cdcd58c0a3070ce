//! Legal and illegal journals.
