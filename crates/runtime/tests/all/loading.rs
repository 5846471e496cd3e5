//! What is refused when it is loaded, and how it says so.

use runtime::LoadError;

use crate::support::{self, limits, runtime, try_load};

async fn refused(text: &str) -> LoadError {
    try_load(text, limits()).await.err().expect("must not load")
}

fn names(error: LoadError) -> Vec<String> {
    match error {
        LoadError::UnknownImports { names } => names,
        other => panic!("expected unknown imports, got {other:?}"),
    }
}

#[tokio::test]
async fn all_unknown_imports_of_a_module_are_named() {
    let error = refused(
        r#"(module
          (import "wasmbus" "__guest_request" (func (param i32 i32)))
          (import "wasmbus" "__guest_everything" (func))
          (import "wapc" "__guest_request" (func (param i32 i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
          (import "env" "base" (global i32))
          (memory (export "memory") 1)
          (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#,
    );
    let error = error.await;
    assert_eq!(error.code(), "unknown_imports");
    let text = "imports that this host does not provide: `wasmbus.__guest_everything`, `wapc.__guest_request`, \
                `env.base`";
    assert_eq!(error.to_string(), text);
    assert_eq!(names(error), ["wasmbus.__guest_everything", "wapc.__guest_request", "env.base"]);
}

#[tokio::test]
async fn all_unknown_imports_of_a_component_are_named() {
    let error = refused(
        r#"(component
          (import "wasi:io/error@0.2.3" (instance (export "error" (type (sub resource)))))
          (import "wasi:io/error@9.0.0" (instance (export "error" (type (sub resource)))))
          (import "wasi:keyvalue/store@9.0.0" (instance))
          (import "wasmcloud:bus/galaxy" (instance))
          (import "wasmcloud:bus/host" (instance (export "shout" (func (param "operation" string)))))
          (import "plain" (func)))"#,
    );
    let expected = [
        "wasi:io/error@9.0.0",
        "wasi:keyvalue/store@9.0.0",
        "wasmcloud:bus/galaxy",
        "wasmcloud:bus/host.shout",
        "plain",
    ];
    assert_eq!(names(error.await), expected);
}

#[tokio::test]
async fn an_import_of_the_wrong_type_is_refused() {
    let module = r#"(module (import "wasmbus" "__guest_request" (func (param i64)))
        (memory (export "memory") 1) (func (export "_start")))"#;
    assert_eq!(refused(module).await.code(), "import_mismatch");
    let component = r#"(component (import "wasi:logging/logging" (instance (export "log" (func)))))"#;
    assert_eq!(refused(component).await.code(), "import_mismatch");
}

#[tokio::test]
async fn there_must_be_something_to_call() {
    for text in [
        "(module)",
        r#"(module (func (export "_initialize")))"#,
        r#"(module (func (export "__guest_call")))"#,
        r#"(module (func (export "__guest_call") (param i64 i32) (result i32) (i32.const 1)))"#,
        r#"(module (func (export "_start") (param i32)))"#,
        r#"(module (memory (export "_start") 1))"#,
        r#"(module (import "wasmbus" "__console_log" (func (param i32 i32))) (func (export "_start")))"#,
        "(component)",
    ] {
        assert_eq!(refused(text).await.code(), "no_entry_point", "{text}");
    }
}

#[tokio::test]
async fn what_is_not_wasm_is_invalid() {
    for bytes in [&b""[..], b"hello", b"\0asm", b"\0asm\x01\0\0\0\xff", b"\0asm\x0d\0\x01\0\xff"] {
        let error = runtime().load(bytes.into(), support::identity(), limits()).await.err().unwrap();
        assert_eq!(error.code(), "invalid_wasm", "{bytes:?}");
    }
}

#[tokio::test]
async fn text_is_not_wasm() {
    let text = &b"(module (func (export \"_start\")))"[..];
    let error = runtime().load(text.into(), support::identity(), limits()).await.err().unwrap();
    assert_eq!(error.code(), "invalid_wasm");
}

#[tokio::test]
async fn proposals_nobody_asked_for_are_off() {
    let memory64 = r#"(module (memory i64 1) (func (export "_start")))"#;
    assert_eq!(refused(memory64).await.code(), "not_enabled");
    let shared = r#"(module (memory 1 1 shared) (func (export "_start")))"#;
    assert_eq!(refused(shared).await.code(), "not_enabled");
}
