//! Paths that are no text: every command that takes a path takes them, and says so where a host would have to be told one.
//!
//! That no argument is forgotten is checked over the whole command line in `src/cli.rs`.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    process::{Output, Stdio},
};

use crate::support::{EMPTY_MODULE, Lattice, Wash};

const HTTP: &[u8] = include_bytes!("../../../crates/runtime/tests/guests/http.wasm");
/// The directory with all of the files. Latin-1, as old disks have it.
const DIRECTORY: &[u8] = b"d-\xe9";

/// Words of a command line, where `@` stands for the directory; the exit code, and what is said on standard error.
struct Case(&'static str, i32, &'static str);

/// What a command says that would have to tell a host of such a path.
const UNTELLABLE: &str = "its path is not UTF-8 text";

const WITHOUT_A_LATTICE: &[Case] = &[
    Case("run @p.wasm", 0, ""),
    Case("run @p.wasm --dir @.::/work:ro", 0, ""),
    Case("run @p.wasm --dir @.", 2, "give one with `directory::name`"),
    Case("run @absent.wasm", 1, "no file `d-\u{fffd}/absent.wasm`"),
    Case("compile @p.wasm", 0, ""),
    Case("run @p.cwasm", 0, ""),
    Case("compile @p.wasm --destination @q.cwasm", 0, ""),
    Case("run @q.cwasm", 0, ""),
    Case("serve @p.wasm --addr 127.0.0.1:0", 1, "exports neither `wasi:http/incoming-handler`"),
    Case("inspect --wit @http.wasm", 0, ""),
    Case("claims sign @a.wasm --name probe --directory @keys", 0, ""),
    Case("inspect @a_s.wasm", 0, ""),
    Case("inspect file://@a_s.wasm --jwt-only", 0, ""),
    Case("claims inspect @a_s.wasm", 0, ""),
    Case("claims sign @a.wasm --name probe -d @b_s.wasm -i @account.nk -s @module.nk", 0, ""),
    Case("claims token actor --name probe --directory @keys -i @account.nk", 0, ""),
    Case("keys import mine @module.nk -d @keys", 0, ""),
    Case("keys list -d @keys", 0, ""),
    Case("par create -c acme:kv -v Acme -n kv -b @kv -j @schema.json --destination @kv.par --directory @keys", 0, ""),
    Case("par insert @kv.par -a aarch64-linux -b @kv --directory @keys", 0, ""),
    Case("par inspect @kv.par", 0, ""),
    Case("push localhost:1/acme/a:1 @a_s.wasm -c @schema.json --insecure", 1, "cannot push `d-\u{fffd}/a_s.wasm`"),
    Case("pull localhost:1/acme/a:1 --destination @x.wasm --cache-dir @cache --insecure", 1, "cannot pull"),
    Case("completions -d @completions bash", 0, ""),
];

const IN_A_LATTICE: &[Case] = &[
    Case("start provider builtin://keyvalue-redb --config-json @schema.json", 0, ""),
    Case("call absent Echo.Say -d @schema.json --save @answer -c @cluster.nk", 1, "absent"),
    Case("start actor @a_s.wasm", 2, UNTELLABLE),
    Case("start provider @kv.par", 2, UNTELLABLE),
    Case("scale actor N @a_s.wasm", 2, UNTELLABLE),
    Case("update actor absent @a_s.wasm", 2, UNTELLABLE),
    Case("why place @a_s.wasm", 2, UNTELLABLE),
    Case("claims revoke digest @a_s.wasm --signer @cluster.nk", 0, ""),
    Case("claims unrevoke digest @a_s.wasm --signer @cluster.nk", 0, ""),
    Case("claims revoke actor @a_s.wasm", 2, "neither an id nor a name"),
];

fn in_directory(name: &str) -> OsString {
    let mut path = OsStr::from_bytes(DIRECTORY).to_owned();
    path.push("/");
    path.push(name);
    path
}

/// A word of a case.
fn word(text: &str) -> OsString {
    let Some((before, name)) = text.split_once('@') else { return text.into() };
    let mut word = OsString::from(before);
    word.push(in_directory(name));
    word
}

fn output(wash: &Wash, line: &str) -> Output {
    let words: Vec<OsString> = line.split_whitespace().map(word).collect();
    wash.command(&[]).args(words).stdin(Stdio::null()).output().expect("wash runs")
}

fn check(wash: &Wash, cases: &[Case]) {
    for Case(line, code, said) in cases {
        let output = output(wash, line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{line}: {stderr}");
        assert!(stderr.contains(said), "{line}: {stderr}");
        let refused = stderr.contains("UTF-8") || stderr.contains("unexpected argument");
        assert!(!refused || *code == 2, "{line}: {stderr}");
    }
}

fn fill(wash: &Wash) {
    fs::create_dir(wash.directory().join(OsStr::from_bytes(DIRECTORY))).expect("a directory");
    let write =
        |name: &str, content: &[u8]| fs::write(wash.directory().join(in_directory(name)), content).expect("room");
    write("p.wasm", &wat::parse_str(include_str!("../guests/hello.wat")).expect("a module"));
    write("http.wasm", HTTP);
    write("a.wasm", EMPTY_MODULE);
    write("kv", b"#!/bin/sh\n");
    write("schema.json", b"{}");
    for kind in ["account", "module"] {
        let seed = wash.json(&format!("keys gen {kind}"))["seed"].as_str().expect("a seed").to_owned();
        write(&format!("{kind}.nk"), seed.as_bytes());
    }
}

#[test]
fn files_and_directories_need_no_name_in_text() {
    let wash = Wash::new();
    fill(&wash);
    check(&wash, WITHOUT_A_LATTICE);
}

#[test]
fn only_what_hosts_must_be_told_needs_one() {
    let wash = Lattice::new();
    fill(&wash);
    check(&wash, &WITHOUT_A_LATTICE[10..11]);
    let made = output(&wash, "par create -c acme:kv -v Acme -n kv -b @kv --destination @kv.par");
    assert!(made.status.success(), "{made:?}");
    let up = output(&wash, "up --detached --no-nats --state-dir @state --cache-dir @cache");
    assert!(up.status.success(), "{up:?}");
    let there = |name: &str| {
        wash.directory().join(in_directory(name)).read_dir().is_ok_and(|mut entries| entries.next().is_some())
    };
    assert!(there("state"), "the host keeps its state where it was told");
    fs::copy(wash.path("wash/keys/cluster.nk"), wash.directory().join(in_directory("cluster.nk"))).expect("the key");
    check(&wash, IN_A_LATTICE);
}

/// What a path leads to is read up to a bound, and a device not at all.
#[test]
fn devices_are_refused_by_name_and_pipes_are_read() {
    let wash = Lattice::new();
    wash.json("up --detached --no-nats");
    for line in [
        "call absent Echo.Say -d /dev/zero",
        "start provider builtin://keyvalue-redb --config-json /dev/zero",
        "claims sign /dev/zero --name x",
        "par create -c acme:kv -v Acme -n kv -b /dev/zero",
        "inspect /dev/zero",
        "run /dev/zero",
    ] {
        let (code, failure) = wash.json_failure(line);
        assert_eq!(code, Some(1), "{line}: {failure}");
        assert!(failure.to_string().contains("/dev/zero` is a "), "{line}: {failure}");
    }
    let digest = wash.json_failure("claims revoke digest /dev/zero").1;
    assert!(digest["hint"].as_str().is_some_and(|hint| hint.contains("path of the file")), "{digest}");
    wash.write("large.json", vec![b' '; (4 << 20) + 1]);
    let (_, failure) = wash.json_failure("call absent Echo.Say -d large.json");
    assert!(failure.to_string().contains("large.json"), "{failure}");
    assert!(failure.to_string().contains("4194304"), "{failure}");
    let read = wash.output_fed(&["call", "absent", "Echo.Say", "-d", "/dev/stdin"], b"no json");
    let stderr = String::from_utf8_lossy(&read.stderr);
    assert!(stderr.contains("JSON"), "what came over the pipe was read: {stderr}");
}
