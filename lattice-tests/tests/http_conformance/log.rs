//! What all hosts of this process have written.

use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use claims::ActorId;

struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps it from now on.
pub fn keep() -> &'static Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let page = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter("warn")
            .with_ansi(false)
            .with_writer(move || Page(page.clone()))
            .try_init()
            .expect("nobody else writes");
        log
    })
}

/// Lines about failed calls of an actor, with this code.
pub fn failed_lines(actor: &ActorId, code: &str) -> usize {
    let log = keep().lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8_lossy(&log).into_owned();
    let code = format!("code=\"{code}\"");
    text.lines()
        .filter(|line| line.contains("a call failed") && line.contains(actor.as_str()) && line.contains(&code))
        .count()
}
