//! Schedules as people write them: Vixie cron, in a time zone.
//!
//! Five fields, or six with seconds first; names, ranges, steps and lists; `@daily` and its like; Sunday is 0 or 7; day of month
//! and day of week are joined by "or" when both are given. A thin layer over the `cron` crate, which has another dialect and
//! other ideas of daylight saving. Knows no clock: see [`Schedule::next_after`].

mod field;
mod slots;

use chrono::{NaiveDate, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use field::Set;
pub use slots::Slot;
use words::suggestion;

/// The longest text of a schedule.
const MAX_BYTES: usize = 256;

/// What `@…` stands for.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A schedule that can fire.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// In naive local time; it fires when any of them does.
    alternatives: Vec<cron::Schedule>,
    zone: Tz,
    /// Whether it follows real time through changes of the clock, as `*/15` does, rather than naming times of day.
    interval: bool,
    hours: Set,
}

/// Which part of a schedule is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The cron expression.
    Cron,
    /// The time zone.
    Zone,
}

/// A text that is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidSchedule {
    /// Which text.
    pub part: Part,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl InvalidSchedule {
    fn cron(message: impl Into<String>, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { part: Part::Cron, message: message.into(), hint }
    }
}

impl Schedule {
    /// Reads a cron expression and an IANA zone name; a schedule that can never fire is an error.
    pub fn parse(cron: &str, timezone: &str) -> Result<Self, InvalidSchedule> {
        let zone = zone(timezone)?;
        let fields = fields(cron)?;
        let [seconds, minutes, hours, days, months, weekdays] = &fields;
        // As in Vixie cron: a field that begins with `*` leaves the choice to the other one.
        let (any_day, any_weekday) = (&field::DAYS.all(), &field::WEEKDAYS.all());
        let alternatives = if days.star || weekdays.star {
            vec![[seconds, minutes, hours, days, months, weekdays]]
        } else {
            vec![
                [seconds, minutes, hours, days, months, any_weekday],
                [seconds, minutes, hours, any_day, months, weekdays],
            ]
        };
        let alternatives: Result<Vec<cron::Schedule>, _> =
            alternatives.into_iter().map(|fields| translated(fields).parse()).collect();
        let schedule = Self {
            alternatives: alternatives.map_err(|_| InvalidSchedule::cron("this is not a schedule", ""))?,
            zone,
            interval: repeats(minutes)
                || repeats(hours)
                || (seconds.star && cron.split_whitespace().count() > 5),
            hours: fields[2].clone(),
        };
        if schedule.next_local(first_day()).is_none() {
            return Err(InvalidSchedule::cron(
                format!("`{cron}` can never fire"),
                "no month it names has the day it names",
            ));
        }
        Ok(schedule)
    }

    /// A second look at times that clocks skip or repeat: the message and the hint.
    pub fn lint(&self) -> Option<(String, String)> {
        let night = (0..4).any(|hour| self.hours.contains(hour));
        if self.interval || !night || !changes_clocks(self.zone) {
            return None;
        }
        let message =
            format!("it fires between 00:00 and 03:59 in `{}`, where clocks change at night", self.zone);
        let hint = "a skipped time fires once at the next valid one, a repeated time fires once; noon or `UTC` avoids both";
        Some((message, hint.to_owned()))
    }

    fn next_local(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        let next = |schedule: &cron::Schedule| schedule.after(&after.and_utc()).next();
        self.alternatives.iter().filter_map(next).min().map(|next| next.naive_utc())
    }
}

/// Whether a field means "every so often"; `*/24` of the hours names one.
fn repeats(field: &Set) -> bool {
    field.star && !field.is_single()
}

/// The day from which it is tried whether a schedule ever fires; the `cron` crate looks ahead to 2100.
fn first_day() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN)
}

fn zone(text: &str) -> Result<Tz, InvalidSchedule> {
    text.parse().map_err(|_| {
        let names = TZ_VARIANTS.iter().map(|zone| zone.name());
        let near = suggestion::nearest(text, names).map(|near| format!("did you mean `{near}`?"));
        InvalidSchedule {
            part: Part::Zone,
            message: format!("there is no time zone `{}`", text.escape_debug()),
            hint: near.or_else(|| Some("use an IANA name like `Europe/Berlin` or `UTC`".to_owned())),
        }
    })
}

/// Whether its clocks change; looked at in three years around the making of this table.
fn changes_clocks(zone: Tz) -> bool {
    let offsets = (2025..=2027).flat_map(|year| (1..=12).map(move |month| (year, month))).filter_map(
        |(year, month)| {
            let day = NaiveDate::from_ymd_opt(year, month, 1)?;
            Some(zone.offset_from_utc_datetime(&day.and_time(chrono::NaiveTime::MIN)).fix().local_minus_utc())
        },
    );
    let offsets: Vec<i32> = offsets.collect();
    offsets.windows(2).any(|pair| pair[0] != pair[1])
}

fn fields(cron: &str) -> Result<[Set; 6], InvalidSchedule> {
    if cron.len() > MAX_BYTES {
        return Err(InvalidSchedule::cron(format!("the schedule is longer than {MAX_BYTES} bytes"), ""));
    }
    let text = cron.trim();
    if let Some((zone, rest)) = zone_inside(text) {
        let message = "a schedule does not name its time zone".to_owned();
        let hint =
            format!("write `schedule: \"{}\"` and `timezone: {}`", rest.escape_debug(), zone.escape_debug());
        return Err(InvalidSchedule { part: Part::Cron, message, hint: Some(hint) });
    }
    let text = if text.starts_with('@') { shorthand(text)? } else { text };
    let words: Vec<&str> = text.split_whitespace().collect();
    let words: [&str; 6] = match words.as_slice() {
        [minute, hour, day, month, weekday] => ["0", minute, hour, day, month, weekday],
        [second, minute, hour, day, month, weekday] => [second, minute, hour, day, month, weekday],
        _ => {
            let message = format!("`{}` has {} fields", cron.escape_debug(), words.len());
            return Err(InvalidSchedule::cron(
                message,
                "five are needed, `MINUTE HOUR DAY MONTH WEEKDAY`, or six with seconds first",
            ));
        }
    };
    let read = |index: usize| field::ALL[index].parse(words[index]);
    Ok([read(0)?, read(1)?, read(2)?, read(3)?, read(4)?, read(5)?])
}

/// `CRON_TZ=Europe/Berlin 0 6 * * *`, as other programs take it: the zone and the schedule.
fn zone_inside(text: &str) -> Option<(&str, &str)> {
    let zoned = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ="))?;
    let (zone, rest) = zoned.split_once(char::is_whitespace).unwrap_or((zoned, ""));
    Some((zone, rest.trim()))
}

fn shorthand(text: &str) -> Result<&'static str, InvalidSchedule> {
    let found = SHORTHANDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, fields)| *fields).ok_or_else(|| {
        let hint = match text.split_whitespace().next() {
            Some("@every") => Some("write for example `*/5 * * * *` for every five minutes".to_owned()),
            Some("@reboot") => Some("a start of the engine is not a time".to_owned()),
            _ => suggestion::hint(text, SHORTHANDS.iter().map(|(name, _)| *name)),
        };
        let message = format!("`{}` is not known here", text.escape_debug());
        InvalidSchedule { part: Part::Cron, message, hint }
    })
}

/// In the dialect of the `cron` crate: seconds first, Sunday is 1.
fn translated(fields: [&Set; 6]) -> String {
    let words = fields.into_iter().enumerate().map(|(index, set)| set.translated(u32::from(index == 5)));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
