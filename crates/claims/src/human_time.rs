//! Distances in time for people: `in 16m`, `8h ago`, `never`.
//!
//! Only text; nothing decides by it. The forms are those of the 0.82 tools.

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// 30.44 days.
const MONTH: u64 = 2_630_016;
/// 365.25 days.
const YEAR: u64 = 31_557_600;

/// When claims expire.
pub(crate) fn expires(at: Option<u64>, now: u64) -> String {
    at.map_or_else(|| "never".to_owned(), |at| relative(at, now))
}

/// When claims become valid.
pub(crate) fn not_before(at: Option<u64>, now: u64) -> String {
    at.map_or_else(|| "immediately".to_owned(), |at| relative(at, now))
}

/// A distance alone.
pub(crate) fn distance(seconds: u64) -> String {
    render(round_down(seconds))
}

fn relative(at: u64, now: u64) -> String {
    let span = distance(at.abs_diff(now));
    if at < now { format!("{span} ago") } else { format!("in {span}") }
}

/// Rounds to the largest of day, hour and minute that fits.
fn round_down(seconds: u64) -> u64 {
    let unit = [DAY, HOUR, MINUTE].into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    seconds / unit * unit
}

fn render(seconds: u64) -> String {
    let units = [(YEAR, "year", "years"), (MONTH, "month", "months"), (DAY, "day", "days")];
    let short = [(HOUR, "h", "h"), (MINUTE, "m", "m"), (1, "s", "s")];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, one, many) in units.into_iter().chain(short) {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            words.push(format!("{count}{}", if count == 1 { one } else { many }));
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_those_of_the_0_82_tools() {
        let now = 1_700_000_000;
        let cases = [
            (0, "in 0s"),
            (1, "in 1s"),
            (59, "in 59s"),
            (16 * MINUTE + 59, "in 16m"),
            (23 * HOUR + 59 * MINUTE, "in 23h"),
            (DAY, "in 1day"),
            (29 * DAY + 23 * HOUR, "in 29days"),
            (31 * DAY, "in 1month 13h 26m 24s"),
            (366 * DAY, "in 1year 18h"),
            (2 * YEAR + 2 * MONTH, "in 2years 1month 30days 1h 26m 24s"),
        ];
        for (distance, text) in cases {
            assert_eq!(expires(Some(now + distance), now), text, "{distance}");
        }
        assert_eq!(expires(Some(now - 8 * HOUR - 5), now), "8h ago");
        assert_eq!(not_before(Some(now - 1), now), "1s ago");
        assert_eq!(expires(None, now), "never");
        assert_eq!(not_before(None, now), "immediately");
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        assert!(expires(Some(u64::MAX), 0).starts_with("in 584542046090years"));
        assert!(expires(Some(0), u64::MAX).ends_with(" ago"));
    }
}
