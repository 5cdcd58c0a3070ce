//! The only place that asks for the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 (UTC).
#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The milliseconds since 1970 of an RFC 3339 text; none before 1970.
pub fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()).ok()
}

/// RFC 3339 in UTC with milliseconds, for people and documents.
pub fn rfc3339(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// The instant that a daemon printed, milliseconds since 1970; none for what is no instant.
pub fn from_rfc3339(text: &str) -> Option<u64> {
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(at.timestamp_millis()).ok()
}
