//! `wash run` and a program of WASI 0.3.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use lattice_tests::{Actor, binary};

fn run(options: &[&str], arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut wash = Command::new(binary("wash"));
    wash.env("WASH_HOME", home.path()).env_remove("WASH_WASI_P3").arg("run").args(options);
    wash.arg(Actor::P3Command.path()).arg("--").args(arguments);
    let mut wash = wash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It need not be there any more.
    let _ = wash.stdin.take().unwrap().write_all(b"read me\n");
    wash.wait_with_output().unwrap()
}

#[test]
fn it_has_arguments_input_output_and_an_exit_code() {
    let Output { status, stdout, stderr } = run(&["--wasi-p3"], &["one", "two"]);
    assert_eq!((status.code(), String::from_utf8_lossy(&stdout)), (Some(0), "one two\nREAD ME\n".into()), "{stderr:?}");
    let Output { status, stdout, .. } = run(&["--wasi-p3", "--timeout", "20s"], &["fail"]);
    assert_eq!((status.code(), String::from_utf8_lossy(&stdout)), (Some(1), "fail\nREAD ME\n".into()));
}

#[test]
fn the_refusal_names_the_flag() {
    let Output { status, stderr, .. } = run(&[], &[]);
    assert_eq!(status.code(), Some(1));
    let text = String::from_utf8_lossy(&stderr);
    assert!(text.contains("built for WASI 0.3") && text.contains("`--wasi-p3`"), "{text}");
}
