//! What surrounds a program: arguments and variables that are no text, outputs that cannot be written, no home, signals that
//! are ignored, paths that are long.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{ffi::OsStringExt, fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use crate::support::{EMPTY_MODULE, Lattice, Wash};
use rustix::process::{Pid, Signal, kill_process};

/// Chooses what it does by the first letter of the path.
const HTTP: &[u8] = include_bytes!("../../../crates/runtime/tests/guests/http.wasm");
/// A user of whom the system knows nothing, no home either.
const NOBODY_KNOWS: u32 = 54_321;

fn not_text() -> OsString {
    OsString::from_vec(b"d-\xe9".to_vec())
}

fn ended(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().expect("wash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn variables_of_others_may_be_anything_and_ours_are_refused_by_name() {
    let wash = Wash::new();
    let mut command = wash.command(&["keys", "gen", "account"]);
    command.env("UNRELATED", not_text());
    assert_eq!(ended(command).0, Some(0));
    let mut command = wash.command(&["get", "hosts"]);
    command.env("WASMCLOUD_CTL_HOST", not_text());
    let (code, _, stderr) = ended(command);
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(stderr, "error: the environment variable `WASMCLOUD_CTL_HOST` is not UTF-8 text\n");
}

#[test]
fn a_host_starts_beside_variables_that_are_no_text_and_refuses_its_own_by_name() {
    let wash = Lattice::new();
    let mut command = wash.command(&["up", "--detached", "--no-nats"]);
    command.env("UNRELATED", not_text());
    let (code, _, stderr) = ended(command);
    assert_eq!(code, Some(0), "{stderr}");
    let mut command = wash.command(&["up", "--detached", "--no-nats"]);
    command.env("WASMCLOUD_LABEL_zone", not_text());
    let (code, _, stderr) = ended(command);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("WASMCLOUD_LABEL_zone: not UTF-8 text"), "{stderr}");
}

#[test]
fn a_path_that_is_no_text_is_signed_where_a_name_is_given() {
    let wash = Wash::new();
    let file = wash.directory().join(not_text()).with_extension("wasm");
    fs::write(&file, EMPTY_MODULE).expect("a file");
    let sign = |more: &[&str]| {
        let mut command = wash.command(&["claims", "sign"]);
        command.arg(&file).args(more);
        ended(command)
    };
    let (code, _, stderr) = sign(&[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("no file name in UTF-8") && stderr.contains("--name"), "{stderr}");
    let (code, _, stderr) = sign(&["--name", "probe"]);
    assert_eq!(code, Some(0), "{stderr}");
    let mut signed = not_text();
    signed.push("_s.wasm");
    assert!(wash.directory().join(signed).exists());
}

#[test]
fn an_argument_that_must_be_text_is_named() {
    let wash = Wash::new();
    let mut command = wash.command(&["keys", "gen"]);
    command.arg(not_text());
    let (code, _, stderr) = ended(command);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.starts_with("error: the argument `d-\u{fffd}` is not UTF-8 text\n"), "{stderr}");
}

/// What writes a result, whatever it is: no command writes in another way.
const RESULTS: &[&[&str]] = &[
    &["keys", "gen", "account"],
    &["keys", "list", "-o", "json"],
    &["keys", "get", "x_module"],
    &["completions", "bash"],
    &["--version"],
    &["--help"],
    &["help", "start"],
    &["inspect", "a_s.wasm"],
];

fn with_results() -> Wash {
    let wash = Wash::new();
    wash.write("a.wasm", EMPTY_MODULE);
    wash.write("x_module.nk", wash.json("keys gen module")["seed"].as_str().expect("a seed"));
    wash.json("keys import x_module x_module.nk");
    wash.json("claims sign a.wasm -s x_module.nk -d a_s.wasm");
    wash
}

#[test]
fn a_result_that_could_not_be_written_is_a_failure_with_its_reason() {
    let wash = with_results();
    for args in RESULTS {
        let mut command = wash.command(args);
        command.stdout(File::options().write(true).open("/dev/full").expect("it is everywhere"));
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let output = command.spawn().expect("wash runs").wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains("cannot write the result to standard output"), "{args:?}: {stderr}");
        assert!(stderr.contains("No space left on device"), "{args:?}: {stderr}");
    }
}

#[test]
fn a_reader_that_left_is_no_failure() {
    let wash = with_results();
    for args in RESULTS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = wash.command(args);
        command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().expect("wash runs").wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn help_is_a_command_too_and_wrong_usage_is_json_when_asked_for() {
    let wash = Wash::new();
    assert_eq!(wash.run("help start"), wash.run("start --help"));
    assert!(wash.run("help").starts_with("exit: 0\nstdout:\n"));
    let (code, failure) = wash.json_failure("frobnicate");
    assert_eq!((code, &failure["success"]), (Some(2), &serde_json::json!(false)));
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("frobnicate")), "{failure}");
    let (code, failure) = wash.json_failure("start actor");
    assert_eq!(code, Some(2));
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("--help")), "{failure}");
}

/// A directory of a user who has no home, and `wash` run by that user; none where this is not root.
fn homeless(wash: &Wash, args: &[&str]) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        test_needs::skip("the right to run as another user (root has it)");
        return None;
    }
    fs::set_permissions(wash.directory(), fs::Permissions::from_mode(0o777)).expect("ours");
    // The binary may be below a directory that only its owner enters.
    let copy = wash.path("wash-binary");
    if !copy.exists() {
        fs::copy(env!("CARGO_BIN_EXE_wash"), &copy).expect("a copy");
    }
    let mut command = Command::new(copy);
    command.env_clear().current_dir(wash.directory()).uid(NOBODY_KNOWS).gid(NOBODY_KNOWS).args(args);
    Some(command)
}

#[test]
fn without_a_home_works_what_keeps_nothing_and_the_rest_says_what_to_set() {
    let wash = Wash::new();
    let program =
        wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).expect("a module");
    wash.write("program.wasm", program);
    wash.write("a.wasm", EMPTY_MODULE);
    wash.json("claims sign a.wasm");
    for args in [
        &["keys", "gen", "account"][..],
        &["completions", "bash"],
        &["inspect", "a_s.wasm"],
        &["run", "program.wasm"],
        &["keys", "list"],
        &["claims", "sign", "a.wasm", "-d", "b_s.wasm", "--directory", "keys"],
    ] {
        let Some(command) = homeless(&wash, args) else { return };
        let (code, _, stderr) = ended(command);
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
    }
    let Some(command) = homeless(&wash, &["claims", "sign", "a.wasm", "-d", "c_s.wasm"]) else { return };
    let (code, _, stderr) = ended(command);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("neither `WASH_HOME` nor `HOME` is set") && stderr.contains("hint: set `WASH_HOME`"),
        "{stderr}"
    );
}

#[test]
fn a_host_without_a_home_keeps_everything_where_it_is_told() {
    let wash = Wash::new();
    let up = ["up", "--detached", "--no-nats", "--state-dir", "state", "--cache-dir", "cache", "-o", "json"];
    let Some(command) = homeless(&wash, &up) else { return };
    let (code, stdout, stderr) = ended(command);
    assert_eq!(code, Some(0), "{stderr}");
    let told: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let socket = told["socket"].as_str().expect("a socket").to_owned();
    assert!(told["notes"].to_string().contains("--socket"), "{told}");
    let ask = |args: &[&str]| ended(homeless(&wash, &[args, &["--socket", &socket]].concat()).expect("root"));
    let (code, hosts, stderr) = ask(&["get", "hosts", "-o", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(hosts.contains(told["host_id"].as_str().expect("an id")), "{hosts}");
    let (code, _, stderr) = ask(&["stop", "host", told["host_id"].as_str().expect("an id")]);
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_stop_with_the_wrong_contract_stops_nothing() {
    let wash = Lattice::new();
    wash.json("up --detached --no-nats");
    wash.json("start provider builtin://httpserver");
    let (code, failure) = wash.json_failure("stop provider httpserver wasmcloud:keyvalue");
    assert_eq!(code, Some(1), "{failure}");
    assert!(
        failure["error"].as_str().is_some_and(|error| error.contains("serves `wasmcloud:httpserver`")),
        "{failure}"
    );
    wash.json("stop provider httpserver wasmcloud:httpserver");
}

#[test]
fn deleting_what_is_not_there_says_so() {
    let wash = Lattice::new();
    let up = wash.json("up --detached --no-nats");
    let host = up["host_id"].as_str().expect("an id");
    let (code, failure) = wash.json_failure(&format!("label {host} nokey --delete"));
    assert_eq!(code, Some(1), "{failure}");
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("nokey")), "{failure}");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let wash = Wash::new();
    wash.write("http.wasm", HTTP);
    let wash_command = wash.command(&[]);
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", r#"trap '' HUP INT; exec "$0" serve http.wasm --addr 127.0.0.1:0"#])
        .arg(wash_command.get_program());
    shell.env_clear().envs(wash_command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(wash.directory()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = shell.spawn().expect("a shell");
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().expect("asked for")).read_line(&mut line).expect("text");
    assert!(line.starts_with("Serving"), "{line}");
    let pid = Pid::from_child(&server);
    for ignored in [Signal::HUP, Signal::INT] {
        kill_process(pid, ignored).expect("ours");
    }
    // Signals are taken in the order of their numbers, so both came before this one, which ends it.
    kill_process(pid, Signal::TERM).expect("ours");
    let mut said = String::new();
    assert!(server.wait().expect("it ends").success());
    server.stderr.take().expect("asked for").read_to_string(&mut said).expect("text");
    assert!(said.contains("Stopped"), "in order: {said}");
}

#[test]
fn a_home_with_a_long_path_holds_a_control_socket() {
    struct Long(Wash, String);
    impl Long {
        fn command(&self, args: &[&str]) -> Command {
            let mut command = self.0.command(args);
            command.env("WASH_HOME", &self.1);
            command
        }
    }
    impl Drop for Long {
        fn drop(&mut self) {
            self.command(&["down", "--all"]).output().ok();
        }
    }
    let wash = Wash::new();
    let home = wash.path(&"h".repeat(120)).to_str().expect("text").to_owned();
    let long = Long(wash, home);
    let (code, _, stderr) = ended(long.command(&["up", "--detached", "--no-nats"]));
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stdout, stderr) = ended(long.command(&["get", "hosts", "-o", "json"]));
    assert_eq!(code, Some(0), "{stderr}");
    let hosts: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(hosts["hosts"].as_array().map(Vec::len), Some(1), "{stdout}");
}

#[test]
fn a_slip_in_the_log_level_is_refused_before_anything_starts() {
    let text = Wash::new().run("up --no-nats --log-level inof");
    assert!(text.starts_with("exit: 2\n") && text.contains("`inof` is no log level"), "{text}");
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let wash = Wash::new();
    wash.write("http.wasm", HTTP);
    let mut command = wash.command(&["serve", "http.wasm", "--addr", "127.0.0.1:0", "--verbose"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(File::options().write(true).open("/dev/full").expect("it is everywhere"));
    let mut server = command.spawn().expect("wash runs");
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().expect("asked for")).read_line(&mut line).expect("text");
    let address = line.trim().rsplit("http://").next().expect("an address").to_owned();
    // The guest logs, then traps, which the server would say: it goes on without its log.
    for path in ["/g", "/trap", "/hello"] {
        let mut stream = std::net::TcpStream::connect(&address).expect("it listens");
        std::io::Write::write_all(
            &mut stream,
            format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 "), "{path}");
    }
    kill_process(Pid::from_child(&server), Signal::TERM).expect("ours");
    assert!(server.wait().expect("it ends").success());
}
