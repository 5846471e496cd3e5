//! Sizes and times on the command line, with their units.

use std::time::Duration;

const SIZES: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];
const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000)];

/// Parses `64MiB` for clap.
///
/// # Errors
/// It is no number with a unit of size, or not above zero.
pub fn size(text: &str) -> Result<u64, String> {
    parse(text, &SIZES).ok_or_else(|| "expected a size such as `64MiB`".to_owned())
}

/// Parses `1500ms` for clap.
///
/// # Errors
/// It is no number with a unit of time, or not above zero.
pub fn time(text: &str) -> Result<Duration, String> {
    let millis = parse(text, &TIMES).ok_or_else(|| "expected a time such as `30s` or `500ms`".to_owned())?;
    Ok(Duration::from_millis(millis))
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(*factor).filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!((size("64MiB"), size("1 gib"), size("10kB")), (Ok(64 << 20), Ok(1 << 30), Ok(10_000)));
        assert_eq!((time("500ms"), time("2s")), (Ok(Duration::from_millis(500)), Ok(Duration::from_secs(2))));
    }

    #[test]
    fn numbers_without_a_unit_and_nonsense_are_refused() {
        for wrong in ["64", "MiB", "", "0s", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615GiB"] {
            size(wrong).expect_err(wrong);
            time(wrong).expect_err(wrong);
        }
    }
}
