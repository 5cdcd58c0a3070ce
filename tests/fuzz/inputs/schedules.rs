//! A time zone, a schedule, and a moment in milliseconds since 1970: one to a line.

use model::schedule_text::Schedule;

/// How many slots are asked for.
const SLOTS: usize = 20;

pub(super) fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let (zone, cron) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut after_ms = lines.next().and_then(|line| line.parse().ok()).unwrap_or(1_780_000_000_000);
    let schedule = match Schedule::parse(cron, zone) {
        Ok(schedule) => schedule,
        Err(error) => {
            assert!(super::is_tame(&error.to_string()), "{error}");
            return;
        }
    };
    let _ = schedule.lint();
    for _ in 0..SLOTS {
        let Some(slot) = schedule.next_after(after_ms) else { break };
        assert!(slot.at_ms > after_ms, "a slot lies ahead");
        after_ms = slot.at_ms;
    }
}
