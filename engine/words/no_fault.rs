//! Without the feature `fault` nothing happens at the places at which a test may kill, hold or fail the engine.

/// Passes a place; the caller never fails here.
#[inline]
pub fn point(_name: &str) -> bool {
    false
}
