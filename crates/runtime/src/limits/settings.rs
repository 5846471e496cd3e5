//! Settings of limits as text: what an operator writes, and what travels to a host.
//!
//! Invariant: a value that is kept fits its field, and its text reads back as the same value.

use std::{collections::BTreeMap, str::FromStr};

use super::{
    GuestLimits,
    names::{Limit, Unit},
};

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(name: &str) -> Result<Self, LimitError> {
        let found = Self::ALL.iter().copied().find(|limit| limit.as_str() == name);
        found.ok_or_else(|| LimitError::Unknown { name: name.to_owned() })
    }
}

/// Why a setting of a limit is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No limit has this name.
    #[error("unknown limit `{name}`; there are {}", names())]
    Unknown {
        /// As it was written.
        name: String,
    },
    /// The value cannot be read.
    #[error("`{value}` is no value for the limit `{limit}`; expected {expected}")]
    Value {
        /// Which limit.
        limit: Limit,
        /// As it was written.
        value: String,
        /// What would do.
        expected: String,
    },
    /// Not of the form `NAME=VALUE`.
    #[error("`{text}` is not of the form `NAME=VALUE`")]
    Form {
        /// As it was written.
        text: String,
    },
    /// The host allows less.
    #[error("`{limit}` of {asked} is more than the {allowed} this host allows")]
    AboveHost {
        /// Which limit.
        limit: Limit,
        /// What was asked for.
        asked: String,
        /// What the host was told to allow.
        allowed: String,
    },
}

fn names() -> String {
    let names: Vec<String> = Limit::ALL.iter().map(|limit| format!("`{limit}`")).collect();
    names.join(", ")
}

/// Settings of some limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitSettings(BTreeMap<Limit, u64>);

impl LimitSettings {
    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets one limit from `NAME=VALUE`.
    ///
    /// # Errors
    /// [`LimitError`] for an unknown name or a value that does not fit.
    pub fn set(&mut self, text: &str) -> Result<(), LimitError> {
        let (name, value) = text.split_once('=').ok_or_else(|| LimitError::Form { text: text.to_owned() })?;
        self.set_value(name, value)
    }

    fn set_value(&mut self, name: &str, value: &str) -> Result<(), LimitError> {
        let limit: Limit = name.trim().parse()?;
        self.0.insert(limit, parse(limit, value.trim())?);
        Ok(())
    }

    /// Reads settings as [`LimitSettings::to_texts`] writes them.
    ///
    /// # Errors
    /// [`LimitError`] for the first that is of no use.
    pub fn from_texts(texts: &BTreeMap<String, String>) -> Result<Self, LimitError> {
        let mut settings = Self::default();
        for (name, value) in texts {
            settings.set_value(name, value)?;
        }
        Ok(settings)
    }

    /// Name and value of every setting.
    #[must_use]
    pub fn to_texts(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(limit, value)| (limit.to_string(), show(*limit, *value))).collect()
    }

    /// Checks that nothing is above what a host was told to allow.
    ///
    /// # Errors
    /// [`LimitError::AboveHost`].
    pub fn check_within(&self, host: &Self) -> Result<(), LimitError> {
        for (limit, asked) in &self.0 {
            if let Some(allowed) = host.0.get(limit).filter(|allowed| asked > allowed) {
                let (asked, allowed) = (show(*limit, *asked), show(*limit, *allowed));
                return Err(LimitError::AboveHost { limit: *limit, asked, allowed });
            }
        }
        Ok(())
    }

    /// Puts the settings into effect.
    pub fn apply(&self, limits: &mut GuestLimits) {
        for (limit, value) in &self.0 {
            limit.write(limits, *value);
        }
    }
}

impl GuestLimits {
    /// The value of a limit, as an operator would write it.
    #[must_use]
    pub fn shown(&self, limit: Limit) -> String {
        show(limit, limit.read(self))
    }
}

/// Reads a size such as `64MiB`, `4KiB` or `100` (bytes).
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    parse(Limit::Memory, text.trim()).ok()
}

const SIZES: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const TIMES: [(&str, u64); 3] = [("ms", 1), ("s", 1000), ("m", 60_000)];

fn parse(limit: Limit, text: &str) -> Result<u64, LimitError> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let units: &[(&str, u64)] = match limit.unit() {
        Unit::Bytes => &SIZES,
        Unit::Time => &TIMES,
        Unit::Count => &[],
    };
    let factor = match (limit.unit(), unit.trim_start()) {
        (Unit::Bytes | Unit::Count, "") => Some(1),
        (_, unit) => units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
    };
    let value = factor.and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor));
    value.filter(|value| (limit.least()..=limit.most()).contains(value)).ok_or_else(|| {
        let example = match limit.unit() {
            Unit::Bytes => "a size such as `64MiB`",
            Unit::Time => "a time such as `500ms`, `2s` or `1m`",
            Unit::Count => "a number",
        };
        let (least, most) = (show(limit, limit.least()), show(limit, limit.most()));
        let expected = format!("{example} from {least} to {most}");
        LimitError::Value { limit, value: text.to_owned(), expected }
    })
}

/// In the largest unit that loses nothing.
fn show(limit: Limit, value: u64) -> String {
    let units: &[(&str, u64)] = match limit.unit() {
        Unit::Bytes => &SIZES,
        Unit::Time => &TIMES,
        Unit::Count => &[],
    };
    let whole = units.iter().rev().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    match (whole, limit.unit()) {
        (Some((unit, factor)), _) => format!("{}{unit}", value / factor),
        (None, Unit::Time) => format!("{value}ms"),
        (None, _) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_limit_reads_back_what_it_shows_and_has_one_field() {
        let defaults = GuestLimits::default();
        for limit in Limit::ALL {
            let mut settings = LimitSettings::default();
            settings.set(&format!("{limit}={}", defaults.shown(*limit))).unwrap();
            assert_eq!(settings.0[limit], limit.read(&defaults), "{limit}");
            assert_eq!(LimitSettings::from_texts(&settings.to_texts()).unwrap(), settings);

            let mut changed = defaults.clone();
            settings.0.insert(*limit, 7);
            settings.apply(&mut changed);
            let differing: Vec<_> = Limit::ALL.iter().filter(|l| l.read(&changed) != l.read(&defaults)).collect();
            assert_eq!(differing, [limit]);
        }
    }

    #[test]
    fn values_have_units() {
        let mut settings = LimitSettings::default();
        for (text, expected) in [
            ("memory=64MiB", 64 << 20),
            ("memory = 2 GiB", 2 << 30),
            ("memory=4096", 4096),
            ("cpu-time=500ms", 500),
            ("call-time=2m", 120_000),
            ("queue=0", 0),
        ] {
            settings.set(text).unwrap();
            let limit: Limit = text.split_once('=').unwrap().0.trim().parse().unwrap();
            assert_eq!(settings.0[&limit], expected, "{text}");
        }
        assert_eq!(settings.to_texts()["memory"], "4KiB");
        assert_eq!(settings.to_texts()["cpu-time"], "500ms");
    }

    #[test]
    fn what_is_of_no_use_is_refused_with_what_would_do() {
        let refused = |text: &str| LimitSettings::default().set(text).unwrap_err().to_string();
        assert!(refused("memroy=1").starts_with("unknown limit `memroy`; there are `memory`, `tables`"));
        assert_eq!(refused("memory"), "`memory` is not of the form `NAME=VALUE`");
        assert!(refused("cpu-time=2").contains("expected a time such as `500ms`, `2s` or `1m` from 1ms to 525600m"));
        for text in [
            "memory=64MB",
            "memory=-1",
            "memory=0",
            "memory=99999999999GiB",
            "queue=2s",
            "queue=4294967296",
            "queue=",
            "cpu-time=0s",
            "calls-per-instance=0",
        ] {
            assert!(refused(text).contains("is no value for the limit"), "{text}");
        }
    }

    #[test]
    fn what_a_host_was_told_to_allow_may_be_lowered_and_not_raised() {
        let (mut host, mut start) = (LimitSettings::default(), LimitSettings::default());
        host.set("memory=64MiB").unwrap();
        start.set("cpu-time=1m").unwrap();
        start.set("memory=64MiB").unwrap();
        start.check_within(&host).unwrap();
        start.set("memory=65MiB").unwrap();
        let error = start.check_within(&host).unwrap_err();
        assert_eq!(error.to_string(), "`memory` of 65MiB is more than the 64MiB this host allows");
    }
}
