//! Where a text stops being the JSON it should be.
//!
//! The parser's own words quote what it read: a password, or a text of megabytes. Invariant: nothing of the text is kept.

use std::fmt;

/// Where and how a text is not the JSON it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonFault {
    line: usize,
    column: usize,
    /// Whether it is JSON all the same, but with something else in this place.
    is_shape: bool,
}

impl From<serde_json::Error> for JsonFault {
    fn from(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column(), is_shape: error.is_data() }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, is_shape } = self;
        let how = if *is_shape { "something else is expected there" } else { "that is not JSON" };
        write!(f, "line {line}, column {column}: {how}")
    }
}

impl std::error::Error for JsonFault {}
