//! The tests of this crate, in one program: each links wasmtime only once.
//!
//! Beside it stand those that need a process of their own: `bodies` (their bound is that of the process), `compile_process`
//! (it is asked to compile by its first argument), `endurance` (it measures the memory of the process), `hostile_guests`
//! (they fill the places of the runtime that all share) and `small_machine` (its address space is small).
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../support/blobs.rs"]
mod blobs;
#[path = "../support/script.rs"]
mod script;
#[path = "../support/store.rs"]
mod store;
#[path = "../support/mod.rs"]
mod support;

mod admission;
mod blobstore;
mod blobstore_write;
mod bus;
mod code_in_memory;
mod compiled;
mod components;
mod config;
mod hostile;
mod imports;
mod keyvalue;
mod loading;
mod messaging;
mod modules;
mod outgoing_http;
mod prepared;
mod reuse;
mod together;
mod trailers;
mod wasi_version;
