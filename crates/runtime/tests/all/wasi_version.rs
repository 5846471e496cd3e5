//! Components of WASI 0.3 are told from broken ones, as actors and as commands.

use runtime::LoadError;

use crate::support::{limits, runtime, try_load};

/// Imports an asynchronous function, which the engine does not even take.
const ASYNCHRONOUS: &str = r#"(component
  (component (import "wasi:inner/thing@0.3.0" (instance)))
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "wait-for" (func async (param "how-long" u64)))))
  (import "wasi:cli/stdout@0.3.0" (instance)))"#;
/// Names 0.3 and needs nothing of it that could not be compiled.
const PLAIN: &str = r#"(component (import "wasi:http/types@0.3.0-rc-2025-09-16" (instance (export "f" (func)))))"#;

#[tokio::test]
async fn a_component_of_wasi_0_3_is_refused_as_such() {
    let error = try_load(ASYNCHRONOUS, limits()).await.err().expect("must not load");
    assert_eq!(error.code(), "newer_wasi");
    let text = "built for WASI 0.3, which runs only where it is switched on; set `--wasi-p3` (`WASH_WASI_P3=true`) or \
                build it for WASI 0.2: \
                `wasi:clocks/monotonic-clock@0.3.0`, `wasi:cli/stdout@0.3.0`";
    assert_eq!(error.to_string(), text);
    let error = try_load(PLAIN, limits()).await.err().expect("must not load");
    assert_eq!(error.code(), "newer_wasi", "{error}");
}

#[tokio::test]
async fn so_it_is_as_a_command() {
    let wasm = wat::parse_str(ASYNCHRONOUS).expect("valid text");
    let error = runtime().command(wasm.into()).await.err().expect("must not load");
    assert_eq!(error.code(), "newer_wasi", "{error}");
}

#[tokio::test]
async fn what_is_wrong_otherwise_stays_what_it_is() {
    let error =
        try_load(r#"(component (import "acme:thing/it@1.0.0" (instance (export "f" (func)))))"#, limits()).await;
    assert!(matches!(error, Err(LoadError::UnknownImports { .. })));
    let error = runtime().command(b"\0asm\x0d\0\x01\0\xff".as_slice().into()).await;
    assert!(matches!(error, Err(LoadError::Invalid { .. })));
}
