//! An error as one sentence for those who asked: every level of it, none twice.

use std::error::Error;

/// The error and its causes, from the outside in.
#[must_use]
pub fn reason(error: &dyn Error) -> String {
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
        assert_eq!(reason(&Outer(Middle(inner))), expected);
    }
}
