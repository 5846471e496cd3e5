//! A process that compiles one wasm and ends: what it is told, what it says, and its life.
//!
//! ```text
//! standard input   length of the task, 4 bytes little endian | the task | the wasm; then open until nobody waits any more
//! standard output  fingerprint, 32 bytes | 1 and the code, or 0 and why there is none
//! ```
//!
//! It is this very program, asked by its first argument. It knows no cache, no key and no network. Invariants: it uses no more
//! memory and processor time than it was told, which the system sees to; it ends when nobody waits for it.

use std::{
    io::{self, Read, Write},
    process::{self, ExitCode},
    thread,
};

use contracts::codec;
use serde::{Deserialize, Serialize};
use wasmtime::{Module, component::Component};

use super::{
    Growth,
    code::{Code, OurCode, prepared},
    pool::CompilePool,
    seal::Fingerprint,
};
use crate::engine::{CodeSettings, config::CompilePriority};

/// What the program is called with to be such a process.
pub const ARGUMENT: &str = "compile-one-wasm";

/// Longest task, in bytes. It is a handful of numbers.
const MAX_TASK: usize = 4096;

/// Address space beside what is compiled: the program itself, its libraries, stacks of its threads.
const PROGRAM: u64 = 512 << 20;

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) code: CodeSettings,
    pub(super) is_component: bool,
    pub(super) growth: Growth,
    pub(super) threads: usize,
    pub(super) priority: CompilePriority,
    /// Bytes of memory it may use.
    pub(super) memory_bytes: u64,
    /// Seconds of processor time it may use.
    pub(super) seconds: u64,
    /// Length of the wasm.
    pub(super) wasm_bytes: u64,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) fingerprint: [u8; 32],
    pub(super) code: Result<Vec<u8>, String>,
}

impl Task {
    /// All that comes before the wasm.
    pub(super) fn head(&self) -> io::Result<Vec<u8>> {
        let task = codec::encode(self).map_err(io::Error::other)?;
        let length = u32::try_from(task.len()).map_err(io::Error::other)?;
        Ok([&length.to_le_bytes()[..], &task].concat())
    }

    fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
        if length > MAX_TASK {
            return Err(io::Error::other("the task is too long"));
        }
        let mut task = vec![0; length];
        input.read_exact(&mut task)?;
        codec::decode("task", &task).map_err(io::Error::other)
    }

    fn read_wasm(&self, input: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut wasm = Vec::new();
        input.take(self.wasm_bytes).read_to_end(&mut wasm)?;
        if wasm.len() as u64 == self.wasm_bytes { Ok(wasm) } else { Err(io::Error::other("the wasm is cut short")) }
    }

    /// The system ends this process where it takes more.
    #[cfg(unix)]
    fn bound_this_process(&self) -> io::Result<()> {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let both = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(Resource::Core, both(0))?;
        setrlimit(Resource::Data, both(self.memory_bytes))?;
        setrlimit(Resource::As, both(self.memory_bytes.saturating_add(PROGRAM)))?;
        // The signal of the first bound says what it was; the second one nobody survives.
        let cpu = Rlimit { current: Some(self.seconds), maximum: Some(self.seconds.saturating_add(1)) };
        Ok(setrlimit(Resource::Cpu, cpu)?)
    }

    #[cfg(not(unix))]
    fn bound_this_process(&self) -> io::Result<()> {
        Ok(())
    }

    fn carry_out(&self, wasm: &[u8]) -> io::Result<Outcome> {
        let engine = self.code.engine().map_err(|error| io::Error::other(format!("{error:#}")))?;
        let kind = if self.is_component { Component::KIND } else { Module::KIND };
        let fingerprint = Fingerprint::new(&engine, kind, self.growth).0;
        let compile = |wasm: &[u8]| match self.is_component {
            true => OurCode::make::<Component>(&engine, wasm),
            false => OurCode::make::<Module>(&engine, wasm),
        };
        let pool = CompilePool::new(self.threads, self.priority);
        let code = pool.block_on(|| prepared(wasm, self.growth, compile)).map_err(io::Error::other)?;
        let code = code.map(|code| code.bytes().to_vec()).map_err(|error| format!("{error:#}"));
        Ok(Outcome { fingerprint, code })
    }
}

impl Outcome {
    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.fingerprint)?;
        match &self.code {
            Ok(code) => {
                to.write_all(&[1])?;
                to.write_all(code)?;
            }
            Err(reason) => {
                to.write_all(&[0])?;
                to.write_all(reason.as_bytes())?;
            }
        }
        to.flush()
    }

    pub(super) fn read(mut said: Vec<u8>) -> Option<Self> {
        let fingerprint = *said.first_chunk()?;
        let is_code = *said.get(32)? == 1;
        said.drain(..33);
        let code = if is_code { Ok(said) } else { Err(String::from_utf8_lossy(&said).into_owned()) };
        Some(Self { fingerprint, code })
    }
}

/// Whether this program was called to be such a process: then it is to be [`serve`] and nothing else. To be asked before
/// anything is set up.
#[must_use]
pub fn is_asked() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// The life of such a process.
#[must_use]
pub fn serve() -> ExitCode {
    let mut input = io::stdin().lock();
    let done = Task::read(&mut input).and_then(|task| {
        task.bound_this_process()?;
        let wasm = task.read_wasm(&mut input)?;
        drop(input);
        thread::Builder::new().spawn(end_with_whoever_waits)?;
        task.carry_out(&wasm)?.write(&mut io::stdout().lock())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn end_with_whoever_waits() {
    // Nothing more is sent: it comes to its end when the other side lets go, or is gone.
    io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
    process::abort();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Wasi, config::RuntimeConfig};

    fn task(wasm: &[u8]) -> Task {
        Task {
            code: CodeSettings::of(&RuntimeConfig::default(), Wasi::P2),
            is_component: false,
            growth: Growth::Exact,
            threads: 1,
            priority: CompilePriority::Yielding,
            memory_bytes: 1 << 30,
            seconds: 60,
            wasm_bytes: wasm.len() as u64,
        }
    }

    fn said(wasm: &[u8]) -> Outcome {
        let sent = [task(wasm).head().expect("encodes"), wasm.to_vec()].concat();
        let mut input = &sent[..];
        let task = Task::read(&mut input).expect("a task");
        let wasm = task.read_wasm(&mut input).expect("all of it");
        let mut out = Vec::new();
        task.carry_out(&wasm).and_then(|outcome| outcome.write(&mut out)).expect("an outcome");
        Outcome::read(out).expect("an outcome")
    }

    #[test]
    fn code_and_reasons_come_back_with_the_fingerprint_of_the_engine_they_are_for() {
        let wasm = wat::parse_str("(module (func (export \"f\") (result i32) i32.const 7))").expect("valid");
        let (engine, _) = crate::engine::build(&RuntimeConfig::default(), Wasi::P2).expect("an engine");
        let good = said(&wasm);
        assert_eq!(good.fingerprint, Fingerprint::new(&engine, Module::KIND, Growth::Exact).0);
        assert!(good.code.is_ok_and(|code| !code.is_empty()));
        let bad = said(b"\0asm\x01\0\0\0\x01\x01\x01").code.expect_err("invalid");
        assert!(!bad.is_empty());
    }

    #[test]
    fn what_is_cut_short_is_no_task() {
        let head = task(b"wasm").head().expect("encodes");
        for length in 0..head.len() {
            assert!(Task::read(&mut &head[..length]).is_err(), "{length} bytes");
        }
        assert!(task(b"wasm").read_wasm(&mut &b"was"[..]).is_err());
        assert!(Task::read(&mut &u32::MAX.to_le_bytes()[..]).is_err(), "nothing is allocated for it");
        assert_eq!(Outcome::read(vec![0; 32]), None);
    }
}
