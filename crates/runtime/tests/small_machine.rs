//! A machine with little address space: the runtime starts all the same, and actors run.

#![cfg(target_os = "linux")]

mod support;

use std::process::Command;

use runtime::{Allocation, Runtime, RuntimeConfig};

#[test]
fn with_256_mib_of_address_space_memory_is_allocated_on_demand() {
    let itself = std::env::current_exe().expect("a path");
    let script = format!("ulimit -v 262144 && exec '{}' --exact --ignored in_a_small_address_space", itself.display());
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "needs the limit which the test above sets"]
fn in_a_small_address_space() {
    let runtime = Runtime::new(&RuntimeConfig::default()).expect("falls back");
    assert_eq!(runtime.reservation().allocation, Allocation::OnDemand);
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an executor");
    executor.block_on(async {
        let wasm = wat::parse_str(support::ECHO).expect("valid text");
        let guest = runtime.load(wasm.into(), support::identity(), support::limits()).await.expect("loads");
        for _ in 0..10 {
            assert_eq!(support::call(&guest, b"small").await.expect("answers"), "small");
        }
    });
}
