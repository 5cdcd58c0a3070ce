//! When a schedule fires.
//!
//! Clocks that change:
//! - A schedule that names times of day (`30 2 * * *`) fires once for each: a time that is skipped fires at the next valid
//!   moment, a time that is repeated fires the first time only. Several skipped times become one.
//! - A schedule of intervals (a `*` in the minute or the hour: `*/15 * * * *`, `30 * * * *`) follows real time: nothing is
//!   made up for what was skipped, and what is repeated fires again.

use chrono::{DateTime, Duration, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use super::Schedule;

/// A moment at which a schedule fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The local time the schedule names, `2026-03-29T02:30:00`; with the schedule it identifies the slot.
    pub nominal: String,
}

/// The longest time without a change of the clock that is looked through in one step; no zone changes twice within it.
const STRIDE: Duration = Duration::hours(12);

impl Schedule {
    /// The first slot after a moment; `None` if there is none before the year 2100.
    pub fn next_after(&self, after_ms: u64) -> Option<Slot> {
        let after = DateTime::from_timestamp_millis(i64::try_from(after_ms).ok()?)?;
        let (at, nominal) = if self.interval { self.next_interval(after)? } else { self.next_time(after)? };
        let at_ms = u64::try_from(at.timestamp_millis()).ok()?;
        Some(Slot { at_ms, nominal: nominal.format("%Y-%m-%dT%H:%M:%S").to_string() })
    }

    fn next_time(&self, after: DateTime<Utc>) -> Option<(DateTime<Utc>, NaiveDateTime)> {
        let mut local = self.local(after);
        loop {
            local = self.next_local(local)?;
            let at = match self.zone.from_local_datetime(&local) {
                chrono::LocalResult::Single(at) | chrono::LocalResult::Ambiguous(at, _) => {
                    at.with_timezone(&Utc)
                }
                chrono::LocalResult::None => self.end_of_gap(local)?,
            };
            // In the second pass through a repeated hour the slot lies in the first.
            if at > after {
                return Some((at, local));
            }
        }
    }

    fn next_interval(&self, after: DateTime<Utc>) -> Option<(DateTime<Utc>, NaiveDateTime)> {
        // Slots fall on whole seconds.
        let mut from = DateTime::from_timestamp(after.timestamp() + 1, 0)?;
        loop {
            let offset = offset(self.zone, from);
            let local = self.next_local((from + offset - Duration::seconds(1)).naive_utc())?;
            let at = local.and_utc() - offset;
            match change_between(self.zone, from, at) {
                None => return Some((at, local)),
                Some(change) => from = change,
            }
        }
    }

    fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.zone).naive_local()
    }

    /// The moment the clock jumps over this local time.
    fn end_of_gap(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let around = local.and_utc();
        // A day to each side covers every offset there is.
        change_between(self.zone, around - Duration::hours(26), around + Duration::hours(26)).and_then(
            |first| {
                if self.local(first) > local {
                    return Some(first);
                }
                change_between(self.zone, first, around + Duration::hours(26))
            },
        )
    }
}

fn offset(zone: Tz, at: DateTime<Utc>) -> Duration {
    Duration::seconds(i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()))
}

/// The first moment after `from` and not after `to` at which the offset is another one.
fn change_between(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let before = offset(zone, from);
    let mut known = from;
    while known < to {
        let mut later = (known + STRIDE).min(to);
        if offset(zone, later) == before {
            known = later;
            continue;
        }
        while later - known > Duration::seconds(1) {
            let middle = known + Duration::seconds((later - known).num_seconds() / 2);
            if offset(zone, middle) == before {
                known = middle;
            } else {
                later = middle;
            }
        }
        return Some(later);
    }
    None
}
