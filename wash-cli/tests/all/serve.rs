//! `wash serve`: the HTTP guest of the runtime's tests behind a socket, and what becomes of its failures.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout, ExitStatus, Stdio},
};

use crate::support::{Wash, ctrl_c};
use rustix::process::{Pid, Signal, kill_process};

/// Chooses what it does by the first letter of the path; see `http.wat` beside it.
const HTTP: &[u8] = include_bytes!("../../../crates/runtime/tests/guests/http.wasm");

/// A `wash serve` that listens.
struct Server {
    process: Child,
    address: String,
    _stdout: BufReader<ChildStdout>,
    _wash: Wash,
}

impl Server {
    fn start(options: &str) -> Self {
        let wash = Wash::new();
        wash.write("http.wasm", HTTP);
        Self::start_in(wash, "http.wasm", options)
    }

    fn start_in(wash: Wash, file: &str, options: &str) -> Self {
        let mut args = vec!["serve", file, "--addr", "127.0.0.1:0"];
        args.extend(options.split_whitespace());
        let mut command = wash.command(&args);
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut process = started.expect("wash runs");
        let mut stdout = BufReader::new(process.stdout.take().expect("asked for"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("wash says where it listens");
        let address = line.trim().strip_prefix(&format!("Serving `{file}` at http://")).map(str::to_owned);
        let Some(address) = address else {
            let mut stderr = String::new();
            process.stderr.take().expect("asked for").read_to_string(&mut stderr).expect("text");
            panic!("wash does not serve: {line}{stderr}");
        };
        Self { process, address, _stdout: stdout, _wash: wash }
    }

    /// Head and body of an answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut answer = Vec::new();
        // An answer that breaks off may end in a reset.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }

    /// Ends it as Ctrl-C does; what it said on stderr.
    fn stop(mut self) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.process), ctrl_c()).expect("it runs");
        let mut stderr = String::new();
        self.process.stderr.take().expect("asked for").read_to_string(&mut stderr).expect("text");
        (self.process.wait().expect("it ends"), stderr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn requests_are_answered_until_ctrl_c() {
    let server = Server::start("");
    let (status, body) = server.ask("GET", "/hello", "");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.contains("hello"), "{body}");
    let (_, echoed) = server.ask("POST", "/echo", "some words");
    assert!(echoed.contains("some words"), "{echoed}");
    let (_, denied) = server.ask("GET", "/out", "");
    assert!(denied.contains("denied"), "it has nobody to call: {denied}");
    let (ended, stderr) = server.stop();
    assert_eq!(ended.code(), Some(0), "{stderr}");
    assert!(stderr.ends_with("Stopped\n"), "{stderr}");
}

#[test]
fn failures_have_a_status_and_are_said() {
    let server = Server::start("--timeout 300ms");
    for (path, status, code) in [
        ("/trap", "HTTP/1.1 500 Internal Server Error", "trap"),
        ("/nothing", "HTTP/1.1 500 Internal Server Error", "reported"),
        // Before the one that computes for long: after that a guest goes on beside its caller, who may have the head first.
        ("/late", "HTTP/1.1 500 Internal Server Error", "trap"),
        ("/spin", "HTTP/1.1 504 Gateway Timeout", "deadline_exceeded"),
    ] {
        let (seen, body) = server.ask("GET", path, "");
        assert_eq!(seen, status, "{path}: {body}");
        assert!(body.contains(&format!("{code}: ")), "{path}: {body}");
    }
    assert_eq!(server.ask("GET", "/hello", "").0, "HTTP/1.1 200 OK", "one request's end is no other's");
    let (_, stderr) = server.stop();
    for said in ["GET /trap: ", "GET /nothing: ", "GET /spin: deadline_exceeded: ", "GET /late: trap: "] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
}

#[test]
fn what_runs_has_its_time_when_the_command_is_stopped() {
    let server = Server::start("--timeout 30s");
    // It sleeps for longer than a listener usually waits, behind a body that is still coming in.
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    write!(stream, "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\nconnection: close\r\n\r\n01234")
        .expect("sent");
    let mut begun = [0; 15];
    stream.read_exact(&mut begun).expect("it has begun to answer");
    kill_process(Pid::from_child(&server.process), Signal::TERM).expect("it runs");
    std::thread::sleep(std::time::Duration::from_secs(3));
    write!(stream, "56789").expect("it still reads");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("it answers to the end");
    assert!(rest.contains("56789"), "{rest}");
    let (ended, stderr) = server.stop();
    assert_eq!(ended.code(), Some(0), "{stderr}");
}

#[test]
fn nothing_is_granted_unless_it_is_named() {
    // The guest traps when it finds a variable.
    let server = Server::start("");
    assert_eq!(server.ask("GET", "/variables", "").0, "HTTP/1.1 200 OK");
    drop(server);
    let server = Server::start("--env A=1");
    assert_eq!(server.ask("GET", "/variables", "").0, "HTTP/1.1 500 Internal Server Error");
}

#[test]
fn instances_can_be_used_again_and_code_can_be_precompiled() {
    let wash = Wash::new();
    wash.write("http.wasm", HTTP);
    wash.json("compile http.wasm");
    let server = Server::start_in(wash, "http.cwasm", "--reuse 2 -v");
    for _ in 0..5 {
        assert_eq!(server.ask("GET", "/hello", "").0, "HTTP/1.1 200 OK");
    }
    let (_, stderr) = server.stop();
    assert!(stderr.contains("\nprecompiled\n"), "{stderr}");
    assert!(stderr.contains("GET /hello: 200 OK after "), "{stderr}");
}

#[test]
fn what_cannot_be_served_is_said_with_the_next_step() {
    let wash = Wash::new();
    wash.write("command.wasm", wat::parse_str(include_str!("../guests/hello.wat")).expect("a module"));
    let text = wash.run("serve command.wasm --addr 127.0.0.1:0");
    assert!(
        text.starts_with("exit: 1\nstderr:\nerror: `command.wasm` exports neither `wasi:http/incoming-handler`"),
        "{text}"
    );
    wash.write("http.wasm", HTTP);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let text = wash.run(&format!("serve http.wasm --addr {address}"));
    assert!(text.starts_with(&format!("exit: 1\nstderr:\nerror: cannot listen on `{address}`")), "{text}");
    let text = wash.run("serve http.wasm --dir absent");
    assert!(text.contains("cannot open the directory `absent`"), "{text}");
}
