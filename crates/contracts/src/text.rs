//! Texts of guests and of other hosts: bounded, and without characters that do something to whoever shows them.
//!
//! Knows no sink. Invariants: what comes out is at most [`MAX_TEXT`] bytes and a note that it was cut; of control characters,
//! line breaks and tabs are all that is left of it, and in a line not even these.

use std::borrow::Cow;

use crate::CallError;

/// Longest text of a guest that the host takes, in bytes.
pub const MAX_TEXT: usize = 64 << 10;

/// What stands behind a text that was cut.
const CUT: &str = " […]";

/// Bytes of a guest as a text of several lines. What is behind the bound is not even looked at.
#[must_use]
pub fn taken(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(MAX_TEXT)];
    let start = if start.len() < bytes.len() { whole_characters(start) } else { start };
    let text = String::from_utf8_lossy(start);
    let text = replaced(&text, is_disturbing);
    // Replacement characters are longer than what they stand for.
    let fits = bounded(&text);
    if bytes.len() > MAX_TEXT || fits.len() < text.len() { format!("{fits}{CUT}") } else { text.into_owned() }
}

/// The same for what is a text already. What is in order is returned as it is.
#[must_use]
pub fn tidy(text: String) -> String {
    if text.len() <= MAX_TEXT && !text.contains(is_disturbing) { text } else { taken(text.as_bytes()) }
}

/// One line for a log, of at most `limit` bytes: whatever would begin another one is shown as what it is.
#[must_use]
pub fn line(text: &str, limit: usize) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(limit)];
    if !text.contains(|c| is_disturbing(c) || c == '\n') {
        return text.into();
    }
    let mut line = String::with_capacity(text.len());
    for c in text.trim_end_matches(['\r', '\n']).chars() {
        match c {
            '\n' => line.push_str("\\n"),
            c if is_disturbing(c) => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line.into()
}

/// Without a character that was cut in the middle.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let cut = (1..4).find(|back| bytes.len() >= *back && bytes[bytes.len() - back] & 0b1100_0000 == 0b1100_0000);
    cut.map_or(bytes, |back| &bytes[..bytes.len() - back])
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

fn replaced(text: &str, wrong: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wrong) {
        return text.into();
    }
    text.chars().map(|c| if wrong(c) { '\u{FFFD}' } else { c }).collect::<String>().into()
}

/// Control characters but for line breaks and tabs, and marks that turn the direction of what is around them.
fn is_disturbing(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

impl CallError {
    /// The same error with texts that anybody may be shown: whatever a guest, a provider or another host put into it is
    /// bounded and cleaned.
    #[must_use]
    pub fn tidied(mut self) -> Self {
        for text in self.texts() {
            *text = tidy(std::mem::take(text));
        }
        self
    }

    fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::NotGranted { caller: one, contract: other }
            | Self::Unsupported { target: one, operation: other }
            | Self::Malformed { what: one, reason: other }
            | Self::Forbidden { subject: one, reason: other }
            | Self::Unreachable { target: one, reason: other }
            | Self::NoRoom { target: one, what: other, .. }
            | Self::Remote { code: one, message: other } => vec![one, other],
            Self::NotLinked { actor, contract, link_name } => vec![actor, contract, link_name],
            Self::PolicyDenied { request_id, message } => [request_id].into_iter().chain(message.as_mut()).collect(),
            Self::UnknownActor { name: text }
            | Self::NotRunning { target: text }
            | Self::Busy { target: text, .. }
            | Self::DeadlineExceeded { step: text }
            | Self::Trap { message: text }
            | Self::LimitExceeded { limit: text }
            | Self::Reported { message: text }
            | Self::Unauthorized { reason: text }
            | Self::PolicyUnanswered { reason: text }
            | Self::HostFault { message: text } => vec![text],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(taken("as it was: ä\n\tb".as_bytes()), "as it was: ä\n\tb");
        let long = format!("{}ä{}", "x".repeat(MAX_TEXT - 1), "y".repeat(60 << 20));
        let text = taken(long.as_bytes());
        assert_eq!(text, format!("{}{CUT}", "x".repeat(MAX_TEXT - 1)));
        assert!(taken(&vec![0xFF; 1 << 20]).len() <= MAX_TEXT + CUT.len(), "replacements count");
        assert_eq!(taken(b"\xC3"), "\u{FFFD}", "nothing was cut here");
    }

    #[test]
    fn control_characters_and_bidi_marks_are_replaced() {
        assert_eq!(taken(b"\x1b[31mred\x07\r\n\x7f"), "\u{FFFD}[31mred\u{FFFD}\u{FFFD}\n\u{FFFD}");
        assert_eq!(tidy("a\u{9b}b\u{202e}c".to_owned()), "a\u{FFFD}b\u{FFFD}c");
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(line("plain", 80), "plain");
        assert_eq!(line("a\nb\x1b[2J\r\n", 80), "a\\nb\\u{1b}[2J");
        assert_eq!(line("aä", 2), "a");
    }

    #[test]
    fn every_text_of_an_error_is_tidied() {
        let bad = || "\x1b]0;title\x07".to_owned();
        let error = CallError::Reported { message: bad() }.tidied();
        assert_eq!(error.to_string(), "\u{FFFD}]0;title\u{FFFD}");
        let error = CallError::NotLinked { actor: bad(), contract: bad(), link_name: bad() }.tidied();
        assert!(!error.to_string().contains(char::is_control), "{error}");
        let error = CallError::PolicyDenied { request_id: bad(), message: Some("y".repeat(1 << 20)) }.tidied();
        assert!(error.to_string().len() < 2 * MAX_TEXT && !error.to_string().contains(char::is_control));
    }
}
