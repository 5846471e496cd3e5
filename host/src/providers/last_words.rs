//! What a provider process says on its standard error: passed on to ours, with the last line kept for whoever asks why the
//! process ended.
//!
//! Invariant: the pipe is always emptied, and no more than one short line of it is kept.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::ChildStderr,
    task::JoinHandle,
};

/// Most bytes of a line that are kept.
const LONGEST: usize = 512;
/// How long the pipe of a process that ended may stay open, because something it started has it.
const DRAIN: Duration = Duration::from_millis(200);

/// The last line of one process.
pub struct LastWords {
    line: Arc<Mutex<Line>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Line {
    finished: Vec<u8>,
    current: Vec<u8>,
}

impl Line {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte != b'\n' {
                if self.current.len() < LONGEST {
                    self.current.push(byte);
                }
            } else if !self.current.trim_ascii().is_empty() {
                self.finished = std::mem::take(&mut self.current);
            } else {
                self.current.clear();
            }
        }
    }

    fn last(&self) -> Option<String> {
        let line =
            [&self.current, &self.finished].into_iter().map(|line| line.trim_ascii()).find(|line| !line.is_empty())?;
        // What a process prints may hold anything; a sentence of ours holds no control characters.
        Some(String::from_utf8_lossy(line).chars().filter(|letter| !letter.is_control()).collect())
    }
}

impl LastWords {
    /// Follows what a process says until it ends.
    pub fn follow(stderr: Option<ChildStderr>) -> Self {
        let line = Arc::new(Mutex::new(Line::default()));
        let reader = stderr.map(|stderr| tokio::spawn(pass_on(stderr, line.clone())));
        Self { line, reader }
    }

    /// What it said last, once it has ended.
    pub async fn take(&mut self) -> Option<String> {
        if let Some(reader) = &mut self.reader
            && tokio::time::timeout(DRAIN, &mut *reader).await.is_err()
        {
            reader.abort();
        }
        self.reader = None;
        self.line.lock().unwrap_or_else(PoisonError::into_inner).last()
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

async fn pass_on(mut stderr: ChildStderr, line: Arc<Mutex<Line>>) {
    let (mut ours, mut buffer) = (tokio::io::stderr(), vec![0; 4096]);
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        line.lock().unwrap_or_else(PoisonError::into_inner).add(&buffer[..read]);
        // Ours may be closed; the process must not notice.
        let _ = ours.write_all(&buffer[..read]).await;
        let _ = ours.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something_is_kept_whole_or_not_and_short() {
        let last = |pieces: &[&str]| {
            let mut line = Line::default();
            pieces.iter().for_each(|piece| line.add(piece.as_bytes()));
            line.last()
        };
        assert_eq!(last(&[]), None);
        assert_eq!(last(&["\n \n"]), None);
        assert_eq!(last(&["one\ntwo\n\n"]).as_deref(), Some("two"));
        assert_eq!(last(&["one\nt", "wo"]).as_deref(), Some("two"));
        assert_eq!(last(&["\u{1b}[31mred\u{7}\n"]).as_deref(), Some("[31mred"));
        assert_eq!(last(&[&"x".repeat(100_000)]).map(|line| line.len()), Some(LONGEST));
    }
}
