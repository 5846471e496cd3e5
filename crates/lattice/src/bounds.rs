//! How large state of the lattice may be: for one, for one owner, and for all together.
//!
//! Owns the numbers and the words in which one is refused; `book` counts what a host holds. Knows neither disk nor
//! broker. The numbers are constants and no settings, because hosts of one lattice that hold different amounts of it would
//! disagree. Invariant: whatever is within these bounds can be told in messages of a broker with default settings.

mod book;
mod claims;

use std::{collections::BTreeMap, io};

use serde::Serialize;

pub use book::{Book, Place, Usage};

/// Longest name of a label, an annotation or a configuration entry, in bytes.
pub const MAX_KEY: usize = 256;
/// Labels of a host.
pub const MAX_LABELS: usize = 128;
/// Names and values of all labels of a host together, in bytes.
pub const MAX_LABEL_BYTES: usize = 16 << 10;
/// Annotations of one workload, and constraints of one auction.
pub const MAX_ANNOTATIONS: usize = 64;
/// Names and values of the annotations of one workload together, in bytes.
pub const MAX_ANNOTATION_BYTES: usize = 8 << 10;
/// Longest reference of an artifact, in bytes.
pub const MAX_REFERENCE: usize = 4 << 10;
/// Longest configuration text that a provider gets at its start, in bytes.
pub const MAX_CONFIGURATION: usize = 256 << 10;
/// Longest name, version or call alias in signed claims, in bytes.
pub const MAX_CLAIM_TEXT: usize = 1 << 10;
/// Registries in one request, and remembered by a host.
pub const MAX_REGISTRIES: usize = 256;
/// Longest name of a registry, and longest user name, password or token, in bytes.
pub const MAX_CREDENTIAL: usize = 16 << 10;
/// Bytes of an answer that comes in pages. One entry alone may have more, and then still fits into a message.
pub const PAGE_BYTES: usize = 512 << 10;

/// More than there may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limit_exceeded: {what}: {found} {unit}, and the most is {most}")]
pub struct LimitExceeded {
    /// Of what.
    pub what: String,
    /// How much it would be.
    pub found: usize,
    /// How much may be.
    pub most: usize,
    /// Of which unit.
    pub unit: &'static str,
}

impl LimitExceeded {
    /// Stable word for logs, tests and replies; the text begins with it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "limit_exceeded"
    }
}

pub(crate) fn bytes(what: impl Into<String>, found: usize, most: usize) -> Result<(), LimitExceeded> {
    within(what, found, most, "bytes")
}

pub(crate) fn within(
    what: impl Into<String>,
    found: usize,
    most: usize,
    unit: &'static str,
) -> Result<(), LimitExceeded> {
    if found <= most { Ok(()) } else { Err(LimitExceeded { what: what.into(), found, most, unit }) }
}

/// Checks labels of a host as they would be together.
///
/// # Errors
/// [`LimitExceeded`].
pub fn labels(labels: &BTreeMap<String, String>) -> Result<(), LimitExceeded> {
    pairs("labels of a host", labels, MAX_LABELS, MAX_LABEL_BYTES)
}

/// Checks the annotations of one workload, or the constraints of one auction.
///
/// # Errors
/// [`LimitExceeded`].
pub fn annotations(annotations: &BTreeMap<String, String>) -> Result<(), LimitExceeded> {
    pairs("annotations of a workload", annotations, MAX_ANNOTATIONS, MAX_ANNOTATION_BYTES)
}

/// Checks a reference of an artifact.
///
/// # Errors
/// [`LimitExceeded`].
pub fn reference(reference: &str) -> Result<(), LimitExceeded> {
    bytes("reference", reference.len(), MAX_REFERENCE)
}

fn pairs(what: &str, pairs: &BTreeMap<String, String>, most: usize, most_bytes: usize) -> Result<(), LimitExceeded> {
    within(what, pairs.len(), most, "entries")?;
    let longest = pairs.keys().map(String::len).max().unwrap_or_default();
    bytes(format!("longest name among the {what}"), longest, MAX_KEY)?;
    bytes(what, pairs.iter().map(|(key, value)| key.len() + value.len()).sum(), most_bytes)
}

/// Of what was kept before there were bounds: as many labels as may be, in the order of their names.
#[must_use]
pub fn labels_within(mut all: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let (mut count, mut size) = (0, 0);
    all.retain(|key, value| {
        let bytes = key.len() + value.len();
        let fits = key.len() <= MAX_KEY && count < MAX_LABELS && size + bytes <= MAX_LABEL_BYTES;
        if fits {
            (count, size) = (count + 1, size + bytes);
        }
        fits
    });
    all
}

/// How many bytes of JSON something is; nothing is kept of them.
///
/// # Panics
/// Never for wire types of this crate: their maps have string keys.
#[must_use]
pub fn json_len<T: Serialize + ?Sized>(value: &T) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).expect("wire types have string keys, and counting does not fail");
    counter.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
        pairs.into_iter().collect()
    }

    #[test]
    fn a_label_too_many_too_long_or_too_large_is_refused_by_name() {
        let many = |count: usize| of((0..count).map(|number| (number.to_string(), String::new())));
        assert_eq!(labels(&many(MAX_LABELS)), Ok(()));
        let error = labels(&many(MAX_LABELS + 1)).expect_err("one too many");
        assert_eq!(error.to_string(), "limit_exceeded: labels of a host: 129 entries, and the most is 128");
        let large = of([("k".to_owned(), "x".repeat(MAX_LABEL_BYTES))]);
        assert_eq!(labels(&large).map_err(|error| (error.found, error.most)), Err((16_385, 16_384)));
        assert!(labels(&of([("k".repeat(MAX_KEY + 1), String::new())])).is_err());
        assert!(annotations(&of([("k".to_owned(), "x".repeat(700_000))])).is_err());
    }

    #[test]
    fn a_reference_and_a_configuration_that_are_too_long_are_refused() {
        use crate::control::{DecodeError, StartProvider, decode, encode};
        let command = |length: usize, configuration: usize| {
            let configuration = Some("x".repeat(configuration));
            let provider_ref = "r".repeat(length);
            decode::<StartProvider>(&encode(&StartProvider { provider_ref, configuration, ..StartProvider::default() }))
        };
        assert!(command(MAX_REFERENCE, MAX_CONFIGURATION).is_ok());
        for refused in [command(MAX_REFERENCE + 1, 0), command(1, MAX_CONFIGURATION + 1)] {
            assert!(matches!(refused, Err(DecodeError::LimitExceeded(_))), "{refused:?}");
        }
    }

    #[test]
    fn of_labels_of_before_there_were_bounds_as_many_are_kept_as_may_be() {
        let kept = labels_within(of([
            ("a".to_owned(), "x".repeat(700_000)),
            ("b".to_owned(), "here".to_owned()),
            ("c".repeat(MAX_KEY + 1), "y".to_owned()),
        ]));
        assert_eq!(kept, of([("b".to_owned(), "here".to_owned())]));
        let many = labels_within(of((0..20_000).map(|number| (format!("l{number}"), "v".to_owned()))));
        assert_eq!(labels(&many), Ok(()));
        assert_eq!(many.len(), MAX_LABELS);
    }

    #[test]
    fn the_length_of_json_is_that_of_the_json() {
        let value = of([("a\n".to_owned(), "\u{1}\"".to_owned())]);
        assert_eq!(json_len(&value), serde_json::to_vec(&value).expect("JSON").len());
    }
}
