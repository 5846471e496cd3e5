//! An error as one sentence for those who asked: every level of it, none twice.
//!
//! Some levels are by libraries, and quote what strangers wrote. Invariant: a reason has at most [`MAX_REASON`] bytes.

use std::error::Error;

/// Longest reason, bytes: it travels in events and replies.
const MAX_REASON: usize = 4 << 10;

/// The error and its causes, from the outside in.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    shorten(text)
}

fn shorten(mut text: String) -> String {
    if text.len() > MAX_REASON {
        let end = (0..=MAX_REASON - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("middle: {0}")]
    struct Middle(#[source] std::fmt::Error);

    #[test]
    fn every_level_is_said_once() {
        let inner = std::fmt::Error;
        let expected = format!("outer: middle: {inner}");
        assert_eq!(error_chain(&Outer(Middle(inner))), expected);
    }

    #[test]
    fn a_reason_is_bounded() {
        let long = std::io::Error::other("ä".repeat(1 << 20));
        let shown = error_chain(&long);
        assert!(shown.len() <= MAX_REASON && shown.ends_with('…') && shown.len() > MAX_REASON - 8, "{}", shown.len());
    }
}
