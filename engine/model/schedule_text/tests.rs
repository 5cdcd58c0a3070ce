use chrono::{DateTime, Datelike, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::Schedule;

fn ms(text: &str) -> u64 {
    u64::try_from(text.parse::<DateTime<Utc>>().unwrap().timestamp_millis()).unwrap()
}

fn slots(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(cron, zone).unwrap();
    let mut at = ms(after);
    let mut found = Vec::new();
    for _ in 0..count {
        let slot = schedule.next_after(at).unwrap();
        assert!(slot.at_ms > at);
        at = slot.at_ms;
        let utc = DateTime::from_timestamp_millis(i64::try_from(at).unwrap()).unwrap();
        found.push(format!("{} {}", utc.format("%m-%dT%H:%M:%S"), &slot.nominal[5..]));
    }
    found
}

#[test]
fn vixie_cron_is_understood() {
    for (cron, first) in [
        ("30 2 * * sun", "01-04T02:30:00"),
        ("30 2 * * 7", "01-04T02:30:00"),
        ("30 2 * * 0", "01-04T02:30:00"),
        ("0 0 13 * fri", "01-02T00:00:00"),
        ("0 0 */2 * fri", "01-09T00:00:00"),
        ("0 9 * * mon-fri", "01-01T09:00:00"),
        ("0 9 * * sat-sun", "01-03T09:00:00"),
        ("*/15 * * * *", "01-01T00:15:00"),
        ("5-20/7 * * * *", "01-01T00:05:00"),
        ("1,2 3 * FEB *", "02-01T03:01:00"),
        ("15 0 0 1 1 *", "01-01T00:00:15"),
        ("@daily", "01-02T00:00:00"),
        ("0 */24 * * *", "01-02T00:00:00"),
        ("*/60 3 * * *", "01-01T03:00:00"),
        ("@hourly", "01-01T01:00:00"),
        ("@weekly", "01-04T00:00:00"),
        ("@yearly", "01-01T00:00:00"),
        ("0 0 29 2 *", "02-29T00:00:00"),
    ] {
        let found = slots(cron, "UTC", "2026-01-01T00:00:00Z", 1);
        assert_eq!(found, [format!("{first} {first}")], "{cron}");
    }
}

fn says(cases: &[(&str, &str, &str, &str)]) {
    for (cron, zone, message, hint) in cases {
        let error = Schedule::parse(cron, zone).unwrap_err();
        assert_eq!((error.message.as_str(), error.hint.as_deref().unwrap_or_default()), (*message, *hint));
    }
}

#[test]
fn a_field_that_is_wrong_says_why() {
    says(&[
        (
            "",
            "UTC",
            "`` has 0 fields",
            "five are needed, `MINUTE HOUR DAY MONTH WEEKDAY`, or six with seconds first",
        ),
        (
            "* * * *",
            "UTC",
            "`* * * *` has 4 fields",
            "five are needed, `MINUTE HOUR DAY MONTH WEEKDAY`, or six with seconds first",
        ),
        ("60 * * * *", "UTC", "`60` is not a minute: it is from 0 to 59", "for example `0`, `0-4` or `*`"),
        ("0 24 * * *", "UTC", "`24` is not an hour: it is from 0 to 23", "for example `0`, `0-4` or `*`"),
        (
            "0 0 0 * *",
            "UTC",
            "`0` is not a day of month: it is from 1 to 31",
            "for example `1`, `1-5` or `*`",
        ),
        (
            "0 0 * * 8",
            "UTC",
            "`8` is not a day of week: it is from 0 to 7",
            "for example `mon`, `mon-fri` or `*`",
        ),
        ("0 0 * * sunday", "UTC", "`sunday` is not a day of week", "write `sun`"),
        (
            "0 0 * * fri-mon",
            "UTC",
            "`fri-mon` is not a day of week: the range runs backwards",
            "write `5-6,0-1`",
        ),
        ("0 0 ? * *", "UTC", "`?` is not a day of month", "write `*`"),
        ("0 0 * * 7-1", "UTC", "`7-1` is not a day of week: the range runs backwards", "write `0-1`"),
        (
            "0 22-2/2 * * *",
            "UTC",
            "`22-2/2` is not an hour: the range runs backwards",
            "write `22-23/2,0-2/2`",
        ),
        (
            "H/15 * * * *",
            "UTC",
            "`H/15` is not a minute",
            "choose the minute: write for example `29`, or `0-59/5` for every fifth",
        ),
        ("0 */25 * * *", "UTC", "`*/25` is not an hour: a step is from 1 to 24", "for example `*/2`"),
        (
            "CRON_TZ=Europe/Berlin 0 6 * * *",
            "UTC",
            "a schedule does not name its time zone",
            "write `schedule: \"0 6 * * *\"` and `timezone: Europe/Berlin`",
        ),
    ]);
}

#[test]
fn what_is_not_a_schedule_says_why() {
    says(&[
        (
            "0 0 L * *",
            "UTC",
            "`L` is not a day of month",
            "`L`, `W` and `#` are not part of Vixie cron; let the first step check the day",
        ),
        ("0 5/10 * * *", "UTC", "`5/10` is not an hour: a step needs a range", "write `5-23/10` or `*/10`"),
        ("*/0 * * * *", "UTC", "`*/0` is not a minute: a step is from 1 to 60", "for example `*/2`"),
        ("@dayly", "UTC", "`@dayly` is not known here", "did you mean `@daily`?"),
        (
            "@every 5m",
            "UTC",
            "`@every 5m` is not known here",
            "write for example `*/5 * * * *` for every five minutes",
        ),
        ("0 0 30 2 *", "UTC", "`0 0 30 2 *` can never fire", "no month it names has the day it names"),
        (
            "0 0 31 4,6,9 *",
            "UTC",
            "`0 0 31 4,6,9 *` can never fire",
            "no month it names has the day it names",
        ),
        (
            "0 0 * * *",
            "Europe/Berln",
            "there is no time zone `Europe/Berln`",
            "did you mean `Europe/Berlin`?",
        ),
        (
            "0 0 * * *",
            "+02:00",
            "there is no time zone `+02:00`",
            "use an IANA name like `Europe/Berlin` or `UTC`",
        ),
    ]);
}

#[test]
fn a_skipped_time_fires_once_at_the_next_valid_moment() {
    // Berlin jumps from 02:00 to 03:00 at 01:00 UTC.
    assert_eq!(
        slots("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
        ["03-29T01:00:00 03-29T02:30:00", "03-30T00:30:00 03-30T02:30:00"]
    );
    // Several skipped times, and one at the end of the gap, are one.
    assert_eq!(
        slots("0,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:59:00Z", 2),
        ["03-29T01:00:00 03-29T02:00:00", "03-29T01:30:00 03-29T03:30:00"]
    );
    // Apia skipped the whole 30th of December 2011.
    assert_eq!(
        slots("0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", 1),
        ["12-30T10:00:00 12-30T12:00:00"]
    );
}

#[test]
fn a_repeated_time_fires_once() {
    // Berlin repeats 02:00 to 03:00; the first 02:30 is 00:30 UTC.
    assert_eq!(
        slots("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["10-25T00:30:00 10-25T02:30:00", "10-26T01:30:00 10-26T02:30:00"]
    );
    assert_eq!(
        slots("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1),
        ["10-26T01:30:00 10-26T02:30:00"]
    );
}

#[test]
fn intervals_follow_real_time() {
    let minutes = |after, count| -> Vec<String> {
        slots("*/30 * * * *", "Europe/Berlin", after, count)
            .iter()
            .map(|slot| slot[6..11].to_owned())
            .collect()
    };
    assert_eq!(minutes("2026-03-29T00:15:00Z", 3), ["00:30", "01:00", "01:30"]);
    assert_eq!(minutes("2026-10-24T23:45:00Z", 6), ["00:00", "00:30", "01:00", "01:30", "02:00", "02:30"]);
    assert_eq!(
        slots("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 1),
        ["03-30T00:00:00 03-30T02:00:00"]
    );
}

#[test]
fn night_times_where_clocks_change_deserve_a_second_look() {
    let lint = |cron, zone| Schedule::parse(cron, zone).unwrap().lint().is_some();
    assert!(lint("30 2 * * *", "Europe/Berlin"));
    assert!(!lint("30 4 * * *", "Europe/Berlin"));
    assert!(!lint("*/30 * * * *", "Europe/Berlin"));
    assert!(!lint("30 2 * * *", "UTC"));
    assert!(!lint("30 2 * * *", "Asia/Tokyo"));
}

/// Walks minute by minute: for times of day the first moment at which the local clock shows or has passed the time, for
/// intervals every moment at which it shows it.
fn walked(minute: u32, hours: &[u32], interval: bool, zone: Tz, from: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    const DAYS: i64 = 5;
    let shows = |local: NaiveDateTime| local.minute() == minute && hours.contains(&local.hour());
    let mut found = Vec::new();
    let mut done: Vec<NaiveDateTime> = Vec::new();
    let mut before = zone.from_utc_datetime(&from.naive_utc()).naive_local();
    for step in 1..=DAYS * 24 * 60 {
        let at = from + chrono::Duration::minutes(step);
        let local = zone.from_utc_datetime(&at.naive_utc()).naive_local();
        let mut fires = false;
        if interval {
            fires = shows(local);
        } else {
            let mut passed = before + chrono::Duration::minutes(1);
            while passed <= local {
                if shows(passed) && !done.contains(&passed) {
                    done.push(passed);
                    fires = true;
                }
                passed += chrono::Duration::minutes(1);
            }
        }
        if fires {
            found.push(at);
        }
        before = local;
    }
    found
}

#[test]
fn a_walk_through_the_changes_of_many_zones_finds_the_same() {
    let cases: [(&str, &str); 7] = [
        ("Europe/Berlin", "2026-03-27T00:00:00Z"),
        ("Europe/Berlin", "2026-10-23T00:00:00Z"),
        ("America/New_York", "2026-03-06T00:00:00Z"),
        ("America/Havana", "2026-11-01T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-03T00:00:00Z"),
        ("America/Sao_Paulo", "2018-11-02T00:00:00Z"),
        ("Asia/Kathmandu", "2026-01-01T00:00:00Z"),
    ];
    for (name, from) in cases {
        let zone: Tz = name.parse().unwrap();
        let start: DateTime<Utc> = from.parse().unwrap();
        assert!(start.year() > 2000);
        for (minute, hours, interval) in [
            (0, vec![0], false),
            (30, vec![1, 2], false),
            (45, vec![2, 3], false),
            (15, (0..24).collect(), true),
        ] {
            let hour = if interval {
                "*".to_owned()
            } else {
                hours.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
            };
            let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), name).unwrap();
            let expected = walked(minute, &hours, interval, zone, start);
            let mut at = u64::try_from(start.timestamp_millis()).unwrap();
            let mut found = Vec::new();
            while found.len() < expected.len() {
                at = schedule.next_after(at).unwrap().at_ms;
                found.push(DateTime::from_timestamp_millis(i64::try_from(at).unwrap()).unwrap());
            }
            assert_eq!(found, expected, "{name} {minute} {hours:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_text_panics(text in "[0-9*,/@a-z -]{0,30}", any in any::<String>(), after in any::<u64>()) {
        for text in [text, any] {
            if let Ok(schedule) = Schedule::parse(&text, "America/New_York") {
                let _ = schedule.next_after(after % 4_000_000_000_000);
            }
        }
    }
}

/// The texts in backticks after `write` in a hint.
fn written(hint: &str) -> Vec<&str> {
    let Some((_, rest)) = hint.split_once("write ") else { return Vec::new() };
    rest.split('`').skip(1).step_by(2).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_a_hint_says_to_write_is_read(
        field in 0_usize..5,
        text in "(\\*|\\?|H|[0-9]{1,2}|mon|sun|7|jan|dec)(-(7|[0-9]{1,2}|sun|fri|feb))?(/[0-9]{1,3})?",
    ) {
        let with = |text: &str| {
            let mut fields = ["*"; 5];
            fields[field] = text;
            fields.join(" ")
        };
        if let Err(error) = Schedule::parse(&with(&text), "UTC") {
            for hint in written(error.hint.as_deref().unwrap_or_default()) {
                let again = Schedule::parse(&with(hint), "UTC");
                // A day that no month has is told apart from how it is written.
                assert!(again.as_ref().is_ok_and(|_| true) || again.is_err_and(|e| e.message.contains("never")), "{text}: {hint}");
            }
        }
    }
}
