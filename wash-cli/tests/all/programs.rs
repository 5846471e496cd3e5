//! The programs under `tests/guests`: what is expected of each, and how it becomes a module and a component.
//!
//! A program is a `.wat` or a `.rs` file. Lines that begin with `;;!` or `//!!` say `key: value`; `case:` begins another
//! run of the same program. In values, `\n`, `\0` and `\\` are one byte.
//!
//! | key | meaning |
//! | --- | --- |
//! | `args` | words after `--` |
//! | `options` | words before it |
//! | `stdin`, `stdin-length` | what is on standard input: this text, or so many bytes |
//! | `file` | `path=content` of a file made before |
//! | `made` | `path=content` of a file that must be there after |
//! | `stdout`, `stdout-length` | all of standard output, or its length |
//! | `stderr` | what must be in standard error |
//! | `exit`, `component-exit` | the exit code; a component can only tell success from failure |
//! | `trap` | text of the trap; exit code 134 |
//! | `kinds` | `module` or `component` where it can only be one of them |

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};

/// One of the two forms a program can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Module,
    Component,
}

pub const KINDS: [Kind; 2] = [Kind::Module, Kind::Component];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Component => "component",
        }
    }
}

/// A program and how it is to be run.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    source: PathBuf,
    pub cases: Vec<Case>,
}

/// One run of a program.
#[derive(Debug, Clone, Default)]
pub struct Case {
    pub name: String,
    pub args: Vec<String>,
    pub options: Vec<String>,
    pub stdin: Vec<u8>,
    pub files: Vec<(String, Vec<u8>)>,
    pub made: Vec<(String, Vec<u8>)>,
    pub stdout: Option<Vec<u8>>,
    pub stdout_length: Option<usize>,
    pub stderr: Vec<String>,
    exit: Option<i32>,
    component_exit: Option<i32>,
    trap: Option<String>,
    only: Option<String>,
}

impl Case {
    pub fn exit(&self, kind: Kind) -> i32 {
        let trapped = self.trap.is_some().then_some(134);
        let module = self.exit.or(trapped).unwrap_or(0);
        if kind == Kind::Component { self.component_exit.unwrap_or(module) } else { module }
    }

    /// What a trap is to say, in a module. In a component the adapter's functions are around it.
    pub fn trap(&self) -> Option<&str> {
        self.trap.as_deref()
    }

    pub fn is_for(&self, kind: Kind) -> bool {
        self.only.as_deref().is_none_or(|only| only == kind.name())
    }
}

/// All of them, by name.
pub fn all() -> Vec<Program> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let entries = fs::read_dir(guests).expect("the directory of guests");
    let mut sources: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    sources.sort();
    sources.into_iter().map(program).collect()
}

fn program(source: PathBuf) -> Program {
    let text = fs::read_to_string(&source).expect("a guest");
    let name = source.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut cases = Vec::new();
    let directives = text.lines().filter_map(|line| line.strip_prefix(";;!").or_else(|| line.strip_prefix("//!!")));
    for line in directives {
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{name}: `{line}` is not `key: value`"));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if key.trim() == "case" || cases.is_empty() {
            cases.push(Case::default());
        }
        let case = cases.last_mut().expect("made above");
        set(case, key.trim(), value).unwrap_or_else(|problem| panic!("{name}: `{line}`: {problem}"));
    }
    if cases.is_empty() {
        cases.push(Case::default());
    }
    Program { name, source, cases }
}

fn set(case: &mut Case, key: &str, value: &str) -> Result<(), String> {
    let words = || value.split_whitespace().map(str::to_owned).collect();
    let number = || value.trim().parse::<i32>().map_err(|error| error.to_string());
    let file = || {
        let (path, content) = value.split_once('=').ok_or("expected `path=content`")?;
        Ok::<_, String>((path.to_owned(), unescaped(content)))
    };
    match key {
        "case" => case.name = value.to_owned(),
        "args" => case.args = words(),
        "options" => case.options = words(),
        "stdin" => case.stdin = unescaped(value),
        "stdin-length" => case.stdin = (0..number()?).map(|at| u8::try_from(at % 251).expect("below 251")).collect(),
        "file" => case.files.push(file()?),
        "made" => case.made.push(file()?),
        "stdout" => case.stdout = Some(unescaped(value)),
        "stdout-length" => case.stdout_length = Some(usize::try_from(number()?).map_err(|error| error.to_string())?),
        "stderr" => case.stderr.push(String::from_utf8(unescaped(value)).map_err(|error| error.to_string())?),
        "exit" => case.exit = Some(number()?),
        "component-exit" => case.component_exit = Some(number()?),
        "trap" => case.trap = Some(value.to_owned()),
        "kinds" => case.only = Some(value.to_owned()),
        other => return Err(format!("nobody knows `{other}`")),
    }
    Ok(())
}

fn unescaped(text: &str) -> Vec<u8> {
    text.replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}

impl Program {
    /// The wasm in one of its forms; none where the tools for it are not here.
    pub fn wasm(&self, kind: Kind, scratch: &Path) -> Option<Vec<u8>> {
        if self.source.extension().is_some_and(|extension| extension == "rs") {
            return self.rust(kind, scratch);
        }
        let module = wat::parse_file(&self.source).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        Some(match kind {
            Kind::Module => module,
            Kind::Component => component(&module).unwrap_or_else(|error| panic!("{}: {error}", self.name)),
        })
    }

    fn rust(&self, kind: Kind, scratch: &Path) -> Option<Vec<u8>> {
        let target = if kind == Kind::Module { "wasm32-wasip1" } else { "wasm32-wasip2" };
        let file = scratch.join(format!("{}_{target}.wasm", self.name));
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition", "2024", "-C", "opt-level=1", "-C", "strip=debuginfo", "--target", target]);
        let output = rustc.arg("-o").arg(&file).arg(&self.source).output().expect("rustc runs");
        if output.status.success() {
            return Some(fs::read(&file).expect("what rustc wrote"));
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let no_target = stderr.contains("can't find crate for `std`");
        assert!(no_target, "{} for {target}: {stderr}", self.name);
        test_needs::skip(&format!("the Rust target {target}"));
        None
    }
}

/// A component of a command module, as the tools for languages make it.
pub fn component(module: &[u8]) -> Result<Vec<u8>, String> {
    let adapter = (WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER);
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder = encoder.module(module).map_err(|error| format!("{error:#}"))?;
    encoder = encoder.adapter(adapter.0, adapter.1).map_err(|error| format!("{error:#}"))?;
    encoder.validate(true).encode().map_err(|error| format!("{error:#}"))
}
