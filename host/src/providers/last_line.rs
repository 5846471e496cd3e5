//! What a provider process says on its standard error: passed on to ours without its secrets, with the last line kept for
//! the operator who asks why the process ended.
//!
//! Callers hear none of it. Invariants: the pipe is always emptied; no more than one line of [`LONGEST`] bytes is kept;
//! nothing leaves here unmasked, and of a line that was cut no half secret does.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use contracts::mask;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::ChildStderr,
    task::JoinHandle,
};

/// Most bytes of a line that are looked at as one. What is longer passes in pieces of this.
const LONGEST: usize = 8 * 1024;
/// Most characters of the last line that are told.
const MOST_TOLD: usize = 512;
/// How long the pipe of a process that ended may stay open, because something it started has it.
const DRAIN: Duration = Duration::from_millis(200);

/// The last line of one process.
pub struct LastLine {
    lines: Arc<Mutex<Lines>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Lines {
    /// The last line that says something, masked.
    last: Option<String>,
    current: Vec<u8>,
    /// Whether `current` goes on after a cut.
    is_rest: bool,
}

impl Lines {
    /// Takes what was read; what may be passed on now.
    fn add(&mut self, bytes: &[u8]) -> String {
        let mut passed = String::new();
        for &byte in bytes {
            if byte == b'\n' {
                self.finish(&mut passed, true);
            } else {
                self.current.push(byte);
                if self.current.len() >= LONGEST {
                    self.cut(&mut passed);
                }
            }
        }
        passed
    }

    /// The line, or what there is of it, is at its end.
    fn finish(&mut self, passed: &mut String, newline: bool) {
        let line = std::mem::take(&mut self.current);
        let text = String::from_utf8_lossy(&line);
        let masked = mask::text(&text);
        passed.push_str(&masked);
        if newline {
            passed.push('\n');
        }
        let is_rest = std::mem::replace(&mut self.is_rest, !newline);
        // What a process prints may hold anything; a sentence of ours holds no control characters.
        let plain: String = masked.trim().chars().filter(|letter| !letter.is_control()).take(MOST_TOLD).collect();
        if !plain.is_empty() && !is_rest {
            self.last = Some(plain);
        }
    }

    /// Passes on what is there but for its last word, which may be half a secret. One word as long as that goes whole.
    fn cut(&mut self, passed: &mut String) {
        let end = self.current.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
        if end == 0 {
            self.current.clear();
            self.current.extend_from_slice(mask::REDACTED.as_bytes());
            self.current.push(b' ');
            return self.finish(passed, false);
        }
        let word = self.current.split_off(end);
        self.finish(passed, false);
        self.current = word;
    }
}

impl LastLine {
    /// Follows what a process says until it ends.
    pub fn follow(stderr: Option<ChildStderr>) -> Self {
        let lines = Arc::new(Mutex::new(Lines::default()));
        let reader = stderr.map(|stderr| tokio::spawn(pass_on(stderr, lines.clone())));
        Self { lines, reader }
    }

    /// What it said last, once it has ended.
    pub async fn take(&mut self) -> Option<String> {
        if let Some(reader) = &mut self.reader
            && tokio::time::timeout(DRAIN, &mut *reader).await.is_err()
        {
            reader.abort();
        }
        self.reader = None;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.finish(&mut String::new(), false);
        lines.last.clone()
    }
}

impl Drop for LastLine {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

async fn pass_on(mut stderr: ChildStderr, lines: Arc<Mutex<Lines>>) {
    let (mut ours, mut buffer) = (tokio::io::stderr(), vec![0; 4096]);
    loop {
        let read = stderr.read(&mut buffer).await.unwrap_or(0);
        let passed = {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            let mut passed = lines.add(&buffer[..read]);
            if read == 0 {
                lines.finish(&mut passed, false);
            }
            passed
        };
        // Ours may be closed; the process must not notice.
        let _ = ours.write_all(passed.as_bytes()).await;
        let _ = ours.flush().await;
        if read == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed on, and the last line.
    fn said(pieces: &[&str]) -> (String, Option<String>) {
        let mut lines = Lines::default();
        let mut passed: String = pieces.iter().map(|piece| lines.add(piece.as_bytes())).collect();
        lines.finish(&mut passed, false);
        (passed, lines.last)
    }

    #[test]
    fn the_last_line_that_says_something_is_kept_and_short() {
        let last = |pieces: &[&str]| said(pieces).1;
        assert_eq!(last(&[]), None);
        assert_eq!(last(&["\n \n"]), None);
        assert_eq!(last(&["one\ntwo\n\n"]).as_deref(), Some("two"));
        assert_eq!(last(&["one\nt", "wo"]).as_deref(), Some("two"));
        assert_eq!(last(&["\u{1b}[31mred\u{7}\n"]).as_deref(), Some("[31mred"));
        assert_eq!(last(&[&"x ".repeat(100_000)]).map(|line| line.len()), Some(MOST_TOLD));
        assert_eq!(last(&["long ".repeat(4_000).as_str(), "\n"]).map(|line| line.starts_with("long")), Some(true));
    }

    #[test]
    fn secrets_are_masked_in_what_is_kept_and_in_what_is_passed_on() {
        let (passed, last) = said(&["ready\nFATAL cannot connect to postgres://svc:hun", "ter2@db/x\n"]);
        assert_eq!(passed, "ready\nFATAL cannot connect to postgres://svc:[redacted]@db/x\n");
        assert_eq!(last.as_deref(), Some("FATAL cannot connect to postgres://svc:[redacted]@db/x"));
    }

    #[test]
    fn of_a_line_that_is_cut_no_half_secret_is_passed_on() {
        for padding in (LONGEST - 40)..=LONGEST {
            let line = format!("{} postgres://svc:hunter2@db/x\n", "x".repeat(padding));
            let (passed, last) = said(&[&line]);
            assert!(!passed.contains("hunt") && passed.len() < 2 * LONGEST, "{padding}");
            assert!(last.is_some_and(|last| !last.contains("hunt")), "{padding}");
        }
    }

    #[test]
    fn everything_harmless_passes_as_it_was() {
        let text = "a line\n\n  another, with ünïcode\nand one without an end";
        assert_eq!(said(&[&text[..9], &text[9..]]).0, text);
    }
}
