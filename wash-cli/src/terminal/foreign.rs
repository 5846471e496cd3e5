//! Text that others wrote, made harmless for a terminal: names, labels, descriptions, errors of hosts and guests.
//!
//! Knows characters and no commands; only the printer calls it, so that a new command cannot forget it. Invariant: what comes
//! out moves no cursor, changes no color and reorders no text, and plain text comes out as it went in.

use std::borrow::Cow;

/// A text of one line: line breaks and tabs are escaped as well.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// A text laid out in lines, which stay.
pub fn block(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n' || c == '\t')
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let harmful = |c: char| is_harmful(c) && !keep(c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !harmful(c) => safe.push(c),
            '\n' | '\r' | '\t' => safe.extend(c.escape_default()),
            c => safe.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(safe)
}

/// Control characters (C0, DEL, C1), what changes the direction of text (Unicode annex 9), what breaks lines unseen, and
/// what has no width and so lets two names look alike.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_terminal_is_escaped() {
        for (text, safe) in [
            ("\u{1b}[2J\u{1b}]0;x\u{7}", r"\u{1b}[2J\u{1b}]0;x\u{7}"),
            ("a\u{9b}31mb", r"a\u{9b}31mb"),
            ("user\u{202e}txt.exe", r"user\u{202e}txt.exe"),
            ("one\u{2028}two\u{feff}", r"one\u{2028}two\u{feff}"),
            ("edge\r\nHost `x` is up", r"edge\r\nHost `x` is up"),
        ] {
            assert_eq!(line(text), safe);
        }
        assert_eq!(block("one\n\ttwo\r\u{1b}c"), "one\n\ttwo\\r\\u{1b}c");
    }

    #[test]
    fn plain_text_of_every_language_stays_as_it_is() {
        for text in ["", "quiet-sea", "Grüße, мир, 世界 — ✓", r"C:\temp\u{1b}"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
