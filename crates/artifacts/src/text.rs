//! Text of strangers on its way into our messages: short, and without anything that could steer a terminal.

use std::time::Duration;

/// Longest excerpt, characters.
const MAX_EXCERPT: usize = 200;

/// The beginning of `text` with control characters replaced.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown: String =
        text.chars().take(MAX_EXCERPT).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if text.chars().nth(MAX_EXCERPT).is_some() {
        shown.push('…');
    }
    shown
}

/// A time as people say it: `10s`, `1.5s`.
pub(crate) fn seconds(time: &Duration) -> String {
    let millis = time.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{:.1}s", time.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_harmless() {
        assert_eq!(excerpt("plain"), "plain");
        assert_eq!(excerpt("\u{1b}[2Jgone\n"), "\u{FFFD}[2Jgone\u{FFFD}");
        assert_eq!(seconds(&Duration::from_secs(10)), "10s");
        assert_eq!(seconds(&Duration::from_millis(1500)), "1.5s");
        assert_eq!(excerpt(&"x".repeat(1000)).chars().count(), MAX_EXCERPT + 1);
    }
}
