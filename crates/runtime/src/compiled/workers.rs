//! Processes for what is heavy to compile: started, bounded, waited for, ended.
//!
//! Knows what to tell them, not what they do. Invariants: at most [`CompileProcess::at_once`] of them are alive; none outlives
//! whoever waits for it, or this process; what one of them takes too much of ends that compilation and no other.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
    time::timeout,
};

use super::{
    code::OurCode,
    worker::{ARGUMENT, Outcome, Task},
};
use crate::{engine::config::CompileProcess, error::LoadError};

/// How much longer than the processor time it has a process may take, on a machine that is busy with other things.
const PATIENCE: u32 = 8;
/// Bytes of a process's last words.
const LAST_WORDS: u64 = 4096;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Workers {
    process: Arc<CompileProcess>,
    places: Arc<Semaphore>,
}

impl Workers {
    pub(super) fn new(process: CompileProcess) -> Self {
        let places = Arc::new(Semaphore::new(process.at_once.max(1)));
        Self { process: Arc::new(process), places }
    }

    pub(super) fn process(&self) -> &CompileProcess {
        &self.process
    }

    /// Has a process carry out the task, when there is a place for one. Dropping the future ends it.
    pub(super) async fn compile(&self, task: &Task, expected: [u8; 32], wasm: &Bytes) -> Result<OurCode, LoadError> {
        let _place = self.places.acquire().await.map_err(|error| fault(&error))?;
        let longest = self.process.time.saturating_mul(PATIENCE);
        let answer = timeout(longest, self.answer(task, wasm)).await;
        let (said, status, last_words) = match answer {
            Ok(answer) => answer.map_err(|error| fault(&error))?,
            Err(_) => return Err(self.too_costly(&format!("it was not done after {longest:?}"))),
        };
        if !status.success() {
            return Err(self.ended(status, &last_words));
        }
        let outcome = Outcome::read(said).ok_or_else(|| fault(&"it said nothing"))?;
        if outcome.fingerprint != expected {
            return Err(fault(&"it made code for another engine"));
        }
        outcome.code.map(OurCode::of_worker).map_err(|reason| LoadError::Invalid { reason })
    }

    async fn answer(&self, task: &Task, wasm: &Bytes) -> io::Result<(Vec<u8>, ExitStatus, String)> {
        let head = task.head()?;
        let mut child = self.start()?;
        let (Some(mut input), Some(mut output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("a process without streams"));
        };
        let ask = async {
            // One that ended before it had read all has said why, or its end does.
            if input.write_all(&head).await.is_ok() {
                input.write_all(wasm).await.ok();
            }
            input // open: it ends when this does
        };
        let (mut said, mut last_words, mut errors) = (Vec::new(), Vec::new(), errors.take(LAST_WORDS));
        let (input, read, _) = tokio::join!(ask, output.read_to_end(&mut said), errors.read_to_end(&mut last_words));
        read?;
        let status = child.wait().await?;
        drop(input);
        Ok((said, status, String::from_utf8_lossy(&last_words).trim().to_owned()))
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.process.program);
        // Each thread of it would reserve address space of its own, which counts.
        command.arg(ARGUMENT).env_clear().env("MALLOC_ARENA_MAX", "2").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn()
    }

    fn ended(&self, status: ExitStatus, last_words: &str) -> LoadError {
        let CompileProcess { memory_bytes, time, .. } = &*self.process;
        match signal(status) {
            Some(signal) if signal == CPU_TIME || signal == KILLED => {
                self.too_costly(&format!("more than {} of processor time", seconds(*time)))
            }
            // How a program of ours ends that gets no more memory.
            Some(ABORTED) => self.too_costly(&format!("more than {} MiB of memory", memory_bytes >> 20)),
            _ => fault(&format_args!("{status}: {last_words}")),
        }
    }

    fn too_costly(&self, reason: &str) -> LoadError {
        LoadError::TooCostly { reason: reason.to_owned() }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

fn fault(reason: &dyn std::fmt::Display) -> LoadError {
    LoadError::HostFault { reason: format!("the process that was to compile it: {reason}") }
}

/// SIGXCPU and SIGKILL: the first and the second bound on processor time.
const CPU_TIME: i32 = 24;
const KILLED: i32 = 9;
const ABORTED: i32 = 6;

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}
