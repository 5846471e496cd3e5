//! Links the guest with a 128 KiB stack instead of 1 MiB: its memory is what a host resets after every call.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo:rustc-link-arg=-zstack-size=131072");
    }
}
