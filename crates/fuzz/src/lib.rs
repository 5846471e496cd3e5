//! What is fuzzed: one function per parser of bytes that strangers wrote, each with the law it asserts.
//!
//! Every function takes any bytes and returns; a panic is a bug found. "Does not panic" is the least of it: what was
//! accepted is rendered again and must be the same, and two ways to one answer must agree. `seeds/<target>/` holds small
//! inputs that reach deep, and every input that ever failed; `tests/replay.rs` runs them with the ordinary tests, and
//! `libfuzzer/` is the workspace in which `cargo xtask fuzz` searches for new ones. Invariant: a function is a target
//! when it is listed in [`TARGETS`], and then it has seeds and a libFuzzer binary.

mod allocation;
mod archive;
mod archive_memory;
mod artifacts;
mod contract_values;
mod entries;
mod forge;
mod guest_answer;
mod key_text;
mod lattice_state;
mod memory_room;
mod messages;
mod nats;
mod precompiled;
mod registries;
mod revocations;
mod sessions;
mod token;
mod trace_parent;
mod wapc_host;
mod wasm_claims;

pub use archive::{archive, archive_entries};
pub use archive_memory::archive_memory;
pub use artifacts::{image_config, image_layer, manifest, reference};
pub use contract_values::contract_values;
pub use guest_answer::guest_answer;
pub use key_text::key_text;
pub use lattice_state::lattice_state;
pub use memory_room::memory_room;
pub use messages::{control, event, http_message, invocation, link, policy};
pub use nats::{creds_file, nats_address};
pub use precompiled::precompiled;
pub use registries::{challenge, docker_config};
pub use revocations::revocations;
pub use sessions::{session_batch, session_handshake, session_side};
pub use token::{claims_json, token};
pub use trace_parent::trace_parent;
pub use wapc_host::wapc_host;
pub use wasm_claims::{wasm_claims, wasm_sections};

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("archive", archive),
    ("archive_entries", archive_entries),
    ("archive_memory", archive_memory),
    ("challenge", challenge),
    ("claims_json", claims_json),
    ("contract_values", contract_values),
    ("control", control),
    ("creds_file", creds_file),
    ("docker_config", docker_config),
    ("event", event),
    ("guest_answer", guest_answer),
    ("http_message", http_message),
    ("image_config", image_config),
    ("image_layer", image_layer),
    ("invocation", invocation),
    ("key_text", key_text),
    ("lattice_state", lattice_state),
    ("link", link),
    ("manifest", manifest),
    ("memory_room", memory_room),
    ("nats_address", nats_address),
    ("policy", policy),
    ("precompiled", precompiled),
    ("reference", reference),
    ("revocations", revocations),
    ("session_batch", session_batch),
    ("session_handshake", session_handshake),
    ("session_side", session_side),
    ("token", token),
    ("trace_parent", trace_parent),
    ("wapc_host", wapc_host),
    ("wasm_claims", wasm_claims),
    ("wasm_sections", wasm_sections),
];

/// A time at which the seeds were valid.
const NOW: u64 = 1_700_000_100;
