//! Reads the daemon's timestamps.

/// Milliseconds since 1970 of an RFC 3339 text in UTC as Docker prints it (`2026-03-01T10:00:00.123456789Z`).
/// None for the empty text, for Docker's "never" (year 1), and for anything else.
pub fn milliseconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || !fraction.is_ascii() {
        return None;
    }
    let millis: u64 = format!("{:0<3}", &fraction[..fraction.len().min(3)]).parse().ok()?;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000 + millis)
}

/// The opposite of [`milliseconds`], for the mock world.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn rfc3339(ms: u64) -> String {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (mut year, mut day) = (1970, seconds / 86_400);
    while day >= days(year + 1, 1, 1) - days(year, 1, 1) {
        day -= days(year + 1, 1, 1) - days(year, 1, 1);
        year += 1;
    }
    let month = (1..=12).rev().find(|&month| days(year, month, 1) - days(year, 1, 1) <= day).unwrap_or(1);
    let day = day - (days(year, month, 1) - days(year, 1, 1)) + 1;
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Days since 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    before - 719_468
}

#[cfg(test)]
mod tests {
    use super::{milliseconds, rfc3339};

    #[test]
    fn there_and_back() {
        for ms in [0, 951_825_600_500, 1_772_359_200_123, 4_102_444_799_999, 68_255_999_000] {
            assert_eq!(milliseconds(&rfc3339(ms)), Some(ms), "{}", rfc3339(ms));
        }
    }

    #[test]
    fn docker_times() {
        assert_eq!(milliseconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(milliseconds("2000-02-29T12:00:00.5Z"), Some(951_825_600_500));
        assert_eq!(milliseconds("2026-03-01T10:00:00.123456789Z"), Some(1_772_359_200_123));
        for text in ["", "0001-01-01T00:00:00Z", "2026-03-01", "2026-13-01T00:00:00Z", "never"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }
}
