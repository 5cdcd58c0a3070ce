//! One field of a cron expression.

use super::InvalidSchedule;
use words::suggestion;

/// The numbers a field allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// Bit `n` stands for the number `n`.
    bits: u64,
    all: u64,
    /// Whether it was written with a leading `*`.
    pub(super) star: bool,
}

impl Set {
    /// Whether it is one number and no more.
    pub(super) fn is_single(&self) -> bool {
        self.bits.is_power_of_two()
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.bits & (1 << number) != 0
    }

    /// As a list for the `cron` crate, each number raised by `shift`.
    pub(super) fn translated(&self, shift: u32) -> String {
        if self.bits == self.all {
            return "*".to_owned();
        }
        let numbers =
            (0..u64::BITS).filter(|number| self.contains(*number)).map(|number| (number + shift).to_string());
        numbers.collect::<Vec<_>>().join(",")
    }
}

/// What a field means and may hold.
pub(super) struct Kind {
    what: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTH_NAMES: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAY_NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

pub(super) const DAYS: Kind = Kind { what: "day of month", least: 1, most: 31, names: &[] };
/// Until 7, which is Sunday too and is folded onto 0.
pub(super) const WEEKDAYS: Kind = Kind { what: "day of week", least: 0, most: 7, names: &WEEKDAY_NAMES };
/// Seconds first.
pub(super) const ALL: [Kind; 6] = [
    Kind { what: "second", least: 0, most: 59, names: &[] },
    Kind { what: "minute", least: 0, most: 59, names: &[] },
    Kind { what: "hour", least: 0, most: 23, names: &[] },
    DAYS,
    Kind { what: "month", least: 1, most: 12, names: &MONTH_NAMES },
    WEEKDAYS,
];

impl Kind {
    /// Every number.
    pub(super) fn all(&self) -> Set {
        let bits = self.folded((self.least..=self.most).fold(0, |bits, number| bits | 1 << number));
        Set { bits, all: bits, star: true }
    }

    pub(super) fn parse(&self, text: &str) -> Result<Set, InvalidSchedule> {
        let mut bits = 0_u64;
        for item in text.split(',') {
            bits |= self.item(item, text)?;
        }
        Ok(Set { bits: self.folded(bits), all: self.all().bits, star: text.starts_with('*') })
    }

    fn folded(&self, bits: u64) -> u64 {
        const SUNDAY_AGAIN: u64 = 1 << 7;
        if self.most == 7 && bits & SUNDAY_AGAIN != 0 { (bits & !SUNDAY_AGAIN) | 1 } else { bits }
    }

    fn item(&self, item: &str, field: &str) -> Result<u64, InvalidSchedule> {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => (range, Some(self.step(step, item)?)),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.least, if self.most == 7 { 6 } else { self.most }),
            Some((first, last)) => {
                let first_number = self.number(first, field)?;
                let mut last_number = self.number(last, field)?;
                // `sat-sun` ends with the Sunday after.
                if self.most == 7 && last_number == 0 && first_number > 0 {
                    last_number = 7;
                }
                (first_number, last_number)
            }
            None if step.is_some() => {
                self.number(range, field)?;
                let step = step.unwrap_or(1);
                let hint = format!("write `{range}-{}/{step}` or `*/{step}`", self.most);
                return Err(self.wrong(item, "a step needs a range", &hint));
            }
            None => {
                let number = self.number(range, field)?;
                (number, number)
            }
        };
        if first > last {
            return Err(self.wrong(item, "the range runs backwards", &self.forwards(first, last, step)));
        }
        Ok((first..=last).step_by(step.unwrap_or(1) as usize).fold(0, |bits, number| bits | 1 << number))
    }

    /// How to write a range that runs backwards. Sunday as 7 begins the week as 0.
    fn forwards(&self, first: u32, last: u32, step: Option<u32>) -> String {
        let step = step.map_or_else(String::new, |step| format!("/{step}"));
        if self.most == 7 && first == 7 {
            return format!("write `0-{last}{step}`");
        }
        let end = if self.most == 7 { 6 } else { self.most };
        format!("write `{first}-{end}{step},{}-{last}{step}`", self.least)
    }

    fn step(&self, text: &str, item: &str) -> Result<u32, InvalidSchedule> {
        // As in Vixie cron a step may be as long as the whole field, `*/24` of the hours: then the first number is all.
        let longest = self.most + u32::from(self.least == 0 && self.most != 7);
        match text.parse::<u32>() {
            Ok(step) if (1..=longest).contains(&step) => Ok(step),
            _ => Err(self.wrong(item, &format!("a step is from 1 to {longest}"), "for example `*/2`")),
        }
    }

    fn number(&self, text: &str, field: &str) -> Result<u32, InvalidSchedule> {
        if let Ok(number) = text.parse::<u32>() {
            if (self.least..=self.most).contains(&number) && !text.starts_with('+') {
                return Ok(number);
            }
            return Err(self.wrong(text, &format!("it is from {} to {}", self.least, self.most), ""));
        }
        let name = text.to_lowercase();
        if let Some(position) = self.names.iter().position(|known| *known == name) {
            return Ok(u32::try_from(position).unwrap_or(0) + self.least);
        }
        let hint = match text {
            "?" => "write `*`".to_owned(),
            // Jenkins chooses a number for `H`.
            "H" => {
                let (what, any) = (self.what, u32::midpoint(self.least, self.most));
                format!(
                    "choose the {what}: write for example `{any}`, or `{}-{}/5` for every fifth",
                    self.least, self.most
                )
            }
            _ if text.starts_with("H(") => format!("choose the {}", self.what),
            _ if text.ends_with(['L', 'W']) || text.contains('#') => {
                "`L`, `W` and `#` are not part of Vixie cron; let the first step check the day".to_owned()
            }
            _ => self
                .names
                .iter()
                .find(|known| name.starts_with(**known))
                .map(|known| format!("write `{known}`"))
                .or_else(|| {
                    suggestion::nearest(&name, self.names.iter().copied())
                        .map(|near| format!("did you mean `{near}`?"))
                })
                .unwrap_or_default(),
        };
        Err(self.wrong(field, "", &hint))
    }

    fn wrong(&self, text: &str, because: &str, hint: &str) -> InvalidSchedule {
        let because = if because.is_empty() { String::new() } else { format!(": {because}") };
        let article = if self.what == "hour" { "an" } else { "a" };
        let message = format!("`{}` is not {article} {}{because}", text.escape_debug(), self.what);
        let usual = match self.names {
            [] => format!("for example `{}`, `{}-{}` or `*`", self.least, self.least, self.least + 4),
            names => format!("for example `{}`, `{}-{}` or `*`", names[1], names[1], names[5]),
        };
        InvalidSchedule::cron(message, if hint.is_empty() { &usual } else { hint })
    }
}
