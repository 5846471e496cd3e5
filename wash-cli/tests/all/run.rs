//! `wash run`, over all programs in `tests/guests`: each as a module and as a component; compiled, with code from the
//! cache, and precompiled.

use std::{
    fs,
    io::Write as _,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::programs::{Case, KINDS, Kind, Program};
use crate::support::Wash;

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    exit: Option<i32>,
    stdout: Vec<u8>,
    /// Without what `-v` adds.
    stderr: String,
    /// Where the code was from.
    origin: String,
}

fn run(wash: &Wash, file: &str, case: &Case) -> Ran {
    let mut args = vec!["run", "-v", file];
    args.extend(case.options.iter().map(String::as_str));
    args.push("--");
    args.extend(case.args.iter().map(String::as_str));
    let mut wash = wash.command(&args);
    wash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = wash.spawn().expect("wash runs");
    let mut stdin = running.stdin.take().expect("asked for");
    let output = thread::scope(|scope| {
        // A program that does not read, or ends early, is no failure of this.
        scope.spawn(move || drop(stdin.write_all(&case.stdin)));
        running.wait_with_output().expect("wash ends")
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = stderr.lines().collect();
    let is_origin = |line: &&&str| ["compiled just now", "code from the cache", "precompiled"].contains(line);
    let origin = said.iter().find(is_origin).map_or_else(String::new, |line| (*line).to_owned());
    let detail = |line: &str| line.starts_with("no valid signature, and none is needed here") || line == origin;
    let ends = if stderr.ends_with('\n') { "\n" } else { "" };
    let stderr = said.iter().filter(|line| !detail(line)).copied().collect::<Vec<_>>().join("\n") + ends;
    Ran { exit: output.status.code(), stdout: output.stdout, stderr, origin }
}

/// Runs one program in one form in every way, and returns what is wrong.
fn check(program: &Program, kind: Kind) -> Vec<String> {
    let cases: Vec<&Case> = program.cases.iter().filter(|case| case.is_for(kind)).collect();
    let wash = Wash::new();
    let scratch = wash.path("scratch");
    fs::create_dir_all(&scratch).expect("a directory of ours");
    if cases.is_empty() {
        return Vec::new();
    }
    let Some(wasm) = program.wasm(kind, &scratch) else { return Vec::new() };
    let file = format!("{}.wasm", program.name);
    wash.write(&file, &wasm);
    // Under the same name in another directory, because programs see their name.
    fs::create_dir(wash.path("precompiled")).expect("a directory of ours");
    let precompiled = format!("precompiled/{file}");
    let mut wrong = Vec::new();
    for (number, case) in cases.into_iter().enumerate() {
        let what = format!("{} as {kind:?}, {}", program.name, case.name);
        let mut complain = |way: &str, problem: String| wrong.push(format!("{what}, {way}: {problem}"));
        let ways = [
            (file.as_str(), if number == 0 { "compiled just now" } else { "code from the cache" }),
            (file.as_str(), "code from the cache"),
            (precompiled.as_str(), "precompiled"),
        ];
        let mut first = None;
        for (file, origin) in ways {
            if origin == "precompiled" && number == 0 {
                let made = wash.run(&format!("compile {} --destination {precompiled}", ways[0].0));
                assert!(made.starts_with("exit: 0"), "{what}: {made}");
            }
            set_up(&wash, case);
            let ran = run(&wash, file, case);
            expectations(&wash, case, kind, &ran).into_iter().for_each(|problem| complain(origin, problem));
            // A program that is refused is not asked where its code is from.
            if ran.origin != origin && !ran.origin.is_empty() {
                complain(origin, format!("the code is from elsewhere: {ran:?}"));
            }
            let seen = (ran.exit, ran.stdout, ran.stderr);
            match &first {
                None => first = Some(seen),
                Some(first) if *first != seen => complain(origin, format!("differs: {first:?}\nand {seen:?}")),
                Some(_) => {}
            }
        }
    }
    wrong
}

fn set_up(wash: &Wash, case: &Case) {
    for (path, content) in &case.files {
        let path = wash.path(path);
        let directory = path.parent().expect("below the working directory");
        if directory != wash.directory() {
            let _ = fs::remove_dir_all(directory);
            fs::create_dir_all(directory).expect("a directory of ours");
        }
        fs::write(&path, content).expect("a file of ours");
    }
}

fn expectations(wash: &Wash, case: &Case, kind: Kind, ran: &Ran) -> Vec<String> {
    let mut problems = Vec::new();
    let shown = || String::from_utf8_lossy(&ran.stdout[..ran.stdout.len().min(200)]).into_owned();
    if ran.exit != Some(case.exit(kind)) {
        problems.push(format!("exit {:?}, expected {}: {}{}", ran.exit, case.exit(kind), shown(), ran.stderr));
    }
    if case.stdout.as_ref().is_some_and(|stdout| *stdout != ran.stdout) {
        problems.push(format!("stdout {:?}", shown()));
    }
    if case.stdout_length.is_some_and(|length| length != ran.stdout.len()) {
        problems.push(format!("{} bytes of stdout", ran.stdout.len()));
    }
    for text in case.stderr.iter().filter(|text| !ran.stderr.contains(*text)) {
        problems.push(format!("stderr without `{text}`: {}", ran.stderr));
    }
    if let Some(trap) = case.trap() {
        // The functions follow as the cause.
        let expected = trap.replacen(": in", "\n  caused by: in", 1);
        if !ran.stderr.contains(&format!("trapped: {expected}")) {
            problems.push(format!("no trap `{trap}`: {}", ran.stderr));
        }
    }
    for (path, content) in &case.made {
        if fs::read(wash.path(path)).ok().as_ref() != Some(content) {
            problems.push(format!("`{path}` is not what it should be"));
        }
    }
    problems
}

#[test]
fn every_program_does_the_same_compiled_cached_and_precompiled() {
    let programs = crate::programs::all();
    let jobs: Vec<(&Program, Kind)> = programs.iter().flat_map(|program| KINDS.map(|kind| (program, kind))).collect();
    assert!(programs.len() >= 30, "{} programs", programs.len());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((program, kind)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    wrong.lock().expect("no panic while locked").extend(check(program, *kind));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic while locked");
    assert!(wrong.is_empty(), "{} complaints:\n{}", wrong.len(), wrong.join("\n"));
}

const HELLO: &str = include_str!("../guests/hello.wat");

fn hello(wash: &Wash) {
    wash.write("hello.wasm", wat::parse_str(HELLO).expect("a module"));
}

#[test]
fn code_of_another_machine_is_compiled_anew_and_said_so() {
    let (here, there) = (Wash::new(), Wash::new());
    hello(&there);
    there.json("compile hello.wasm");
    here.write("hello.cwasm", fs::read(there.path("hello.cwasm")).expect("just made"));
    let text = here.run("run hello.cwasm");
    assert!(
        text.starts_with("exit: 0\nstdout:\nhello\nstderr:\nnote: the code in `hello.cwasm` is not used"),
        "{text}"
    );
}

#[test]
fn a_precompiled_file_that_is_damaged_is_compiled_anew_or_refused() {
    let wash = Wash::new();
    hello(&wash);
    wash.json("compile hello.wasm");
    let file = fs::read(wash.path("hello.cwasm")).expect("just made");
    let mut flipped = file.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    wash.write("flipped.cwasm", &flipped);
    let text = wash.run("run flipped.cwasm");
    assert!(text.starts_with("exit: 0\nstdout:\nhello\nstderr:\nnote: the code in"), "{text}");
    wash.write("short.cwasm", &file[..20]);
    let text = wash.run("run short.cwasm");
    assert!(text.starts_with("exit: 1\nstderr:\nerror: cannot read `short.cwasm`"), "{text}");
}

#[test]
fn compiling_says_what_it_made() {
    let wash = Wash::new();
    hello(&wash);
    let made = wash.json("compile hello.wasm --destination made.cwasm");
    assert_eq!(made["file"], "made.cwasm");
    assert!(made["bytes"].as_u64() > made["wasm_bytes"].as_u64(), "{made}");
    let again = wash.json("compile made.cwasm --destination again.cwasm");
    assert_eq!(again["wasm_bytes"], made["wasm_bytes"]);
    wash.write("no.wasm", "no wasm at all");
    assert!(wash.run("compile no.wasm").starts_with("exit: 1\nstderr:\nerror: `no.wasm` is a text file"));
}

#[test]
fn what_cannot_be_run_is_said_with_the_next_step() {
    let wash = Wash::new();
    wash.write("no.wasm", "no wasm at all");
    let text = wash.run("run no.wasm");
    assert!(text.starts_with("exit: 1\nstderr:\nerror: `no.wasm` is a text file, not WebAssembly"), "{text}");
    let absent = wash.run("run absent.wasm");
    assert_eq!(absent, "exit: 1\nstderr:\nerror: no file `absent.wasm`\n");
    hello(&wash);
    let text = wash.run("run hello.wasm --dir absent::/data");
    assert!(text.starts_with("exit: 1\nstderr:\nerror: cannot open the directory `absent`\n"), "{text}");
    for wrong in ["--dir ::", "--env A", "--env A=1 --env A=2", "--max-memory 64", "--timeout soon"] {
        let text = wash.run(&format!("run hello.wasm {wrong}"));
        assert!(text.starts_with("exit: 2\n"), "{wrong}: {text}");
    }
}

#[test]
fn a_signed_program_runs_as_well_and_its_issuer_is_known() {
    let wash = Wash::new();
    hello(&wash);
    wash.json("claims sign hello.wasm --name hello --destination signed.wasm");
    let text = wash.run("run -v signed.wasm");
    assert!(text.starts_with("exit: 0\nstdout:\nhello\nstderr:\nsigned: `[M]` by `[A]`\n"), "{text}");
}

/// Writes to standard output, or reads from standard input, and says by a letter on standard error what it came to.
const SAYS_WHY: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "text\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 5))
    (i32.store8 (i32.const 32) (i32.add (i32.const 32) (call $DO (i32.const FD) (i32.const 0) (i32.const 1) (i32.const 128))))
    (i32.store (i32.const 8) (i32.const 32)) (i32.store (i32.const 12) (i32.const 1))
    (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 128)))))"#;

/// The number of that letter, in both forms of the program.
#[cfg(target_os = "linux")]
fn reasons(action: &str, fd: &str, set: impl Fn(&mut std::process::Command)) -> Vec<u8> {
    let wash = Wash::new();
    let module = wat::parse_str(SAYS_WHY.replace("DO", action).replace("FD", fd)).expect("a module");
    wash.write("component.wasm", crate::programs::component(&module).expect("a component"));
    wash.write("module.wasm", module);
    let reason = |file: &&str| {
        let mut command = wash.command(&["run", file]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        set(&mut command);
        let output = command.output().expect("wash runs");
        assert_eq!(output.stderr.len(), 1, "{}", String::from_utf8_lossy(&output.stderr));
        output.stderr[0] - 32
    };
    ["module.wasm", "component.wasm"].iter().map(reason).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_hears_why_the_system_takes_or_gives_no_more() {
    let (success, is_directory, no_space, pipe) = (0, 31, 51, 64);
    assert_eq!(reasons("write", "1", |_| ()), [success; 2]);
    let closed = |command: &mut std::process::Command| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer);
    };
    assert_eq!(reasons("write", "1", closed), [pipe; 2]);
    let full = |command: &mut std::process::Command| {
        command.stdout(fs::File::options().write(true).open("/dev/full").expect("Linux has it"));
    };
    assert_eq!(reasons("write", "1", full), [no_space; 2]);
    let directory = |command: &mut std::process::Command| {
        command.stdin(fs::File::open("/").expect("a directory"));
    };
    assert_eq!(reasons("read", "0", directory), [is_directory; 2]);
}

#[test]
fn a_command_that_imports_http_because_its_language_does_runs() {
    let wash = Wash::new();
    let component = r#"(component
      (import "wasi:http/types@0.2.3" (instance (export "fields" (type (sub resource)))))
      (import "wasi:http/outgoing-handler@0.2.0" (instance))
      (core module $m (func (export "run") (result i32) i32.const 0))
      (core instance $i (instantiate $m))
      (func $run (result (result)) (canon lift (core func $i "run")))
      (instance $r (export "run" (func $run)))
      (export "wasi:cli/run@0.2.0" (instance $r)))"#;
    wash.write("http.wasm", wat::parse_str(component).expect("a component"));
    assert_eq!(wash.run("run http.wasm"), "exit: 0\n");
}

#[test]
fn what_is_valid_and_not_enabled_is_named() {
    let wash = Wash::new();
    wash.write("large.wasm", wat::parse_str("(module (memory i64 1) (func (export \"_start\")))").expect("a module"));
    for command in ["run large.wasm", "compile large.wasm"] {
        let text = wash.run(command);
        assert!(text.contains("valid wasm, but this host has not enabled what it uses: 64-bit memories"), "{text}");
    }
}

#[test]
fn two_directories_under_one_name_are_refused_and_a_name_may_end_like_a_mode() {
    let wash = Wash::new();
    hello(&wash);
    for directory in ["a", "odd:ro"] {
        fs::create_dir(wash.path(directory)).expect("a directory of ours");
    }
    let text = wash.run("run hello.wasm --dir a::/d --dir a::/d/");
    assert!(text.starts_with("exit: 2\nstderr:\nerror: `--dir` gives the program two directories"), "{text}");
    assert_eq!(wash.run("run hello.wasm --dir odd:ro:rw"), "exit: 0\nstdout:\nhello\n");
}
