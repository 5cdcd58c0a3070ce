//! Times for people: short, in the zone of the machine. Documents for programs keep UTC.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// A second in milliseconds.
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `12:03:04`
pub(crate) fn of_day(ms: u64) -> String {
    shown(ms, "%H:%M:%S")
}

/// `2026-07-31 12:03:04`
pub(crate) fn date(ms: u64) -> String {
    shown(ms, "%Y-%m-%d %H:%M:%S")
}

/// `120 ms`, `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / SECOND, ms % SECOND / 100),
        10_000..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => format!("{} min {} s", ms / MINUTE, ms % MINUTE / SECOND),
        HOUR..DAY => format!("{} h {} min", ms / HOUR, ms % HOUR / MINUTE),
        _ => format!("{} d {} h", ms / DAY, ms % DAY / HOUR),
    }
}

/// How long ago, in one unit: `now`, `12 s ago`, `3 min ago`.
pub(crate) fn ago(ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(ms) {
        0..SECOND => "now".to_owned(),
        past @ SECOND..MINUTE => format!("{} s ago", past / SECOND),
        past @ MINUTE..HOUR => format!("{} min ago", past / MINUTE),
        past @ HOUR..DAY => format!("{} h ago", past / HOUR),
        past => format!("{} d ago", past / DAY),
    }
}

fn shown(ms: u64, format: &str) -> String {
    let at: Option<DateTime<Utc>> = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis);
    at.map_or_else(|| "-".to_owned(), |at| at.with_timezone(&zone()).format(format).to_string())
}

/// The machine's zone, by the name `/etc/localtime` points to; UTC if it cannot be told.
fn zone() -> Tz {
    static ZONE: OnceLock<Tz> = OnceLock::new();
    *ZONE.get_or_init(|| {
        let link = std::fs::read_link("/etc/localtime").unwrap_or_default();
        let link = link.to_string_lossy();
        link.split_once("zoneinfo/").and_then(|(_, name)| name.parse().ok()).unwrap_or(Tz::UTC)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let spans = [(120, "0.1 s"), (12_345, "12 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")];
        for (ms, text) in spans {
            assert_eq!(span(ms), text);
        }
        assert_eq!(span(3 * DAY + 4 * HOUR), "3 d 4 h");
    }

    #[test]
    fn the_past_has_one() {
        assert_eq!(ago(1_000, 1_500), "now");
        assert_eq!(ago(0, 200_000), "3 min ago");
        assert_eq!(ago(5, 0), "now");
    }
}
