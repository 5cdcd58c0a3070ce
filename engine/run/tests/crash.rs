//! Cutting the journal anywhere.
