//! Artifacts: what a reference means, how its bytes come from an OCI registry, and the cache they are kept in.
//!
//! Used by hosts and by `wash`. Knows registries, digests and files; knows no lattice and starts nothing. Invariant:
//! bytes that leave this crate have the digest that was asked for.
//!
//! # Example
//!
//! ```no_run
//! use artifacts::{ArtifactStore, Cache, FetchOptions, Reference, Registry, RegistryOptions, Silent};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new(RegistryOptions { insecure: vec!["localhost:5000".into()], ..Default::default() })?;
//! let store = ArtifactStore::new(registry, Cache::open("/var/cache/artifacts", 1 << 30)?);
//! let reference = Reference::parse("localhost:5000/demo/echo:0.3.4", None)?;
//! let fetched = store.fetch(&reference, &FetchOptions::default(), &Silent).await?;
//! println!("{} has {} bytes", fetched.manifest_digest, fetched.bytes.len());
//! # Ok(())
//! # }
//! ```

mod budget;
mod cache;
mod content;
mod credentials;
mod digest;
mod format;
pub mod image;
mod json_fault;
mod local_file;
pub mod manifest;
mod pace;
mod progress;
mod reference;
mod registry;
mod store;
mod text;

pub use budget::{LoadBudget, NoRoom, Reserved};
pub use cache::{Cache, CacheError, Known};
pub use content::{
    ACTOR_CONFIG, ACTOR_LAYER, ArtifactKind, NotAnArtifact, PROVIDER_CONFIG, PROVIDER_LAYER, PushContent, WASM_CONFIG,
    WASM_LAYER,
};
pub use credentials::{CredentialBook, CredentialError, Credentials, Secret, docker_config};
pub use digest::{Digest, DigestError};
pub use format::{Format, NotAProgram, WasmFileFault, check_one_wasm, check_program};
pub use json_fault::JsonFault;
pub use local_file::{FileError, LocalFile, read_given};
pub use progress::{Progress, Silent};
pub use reference::{MAX_REFERENCE, Reference, ReferenceError};
pub use registry::{
    MIN_BYTES_PER_SECOND, Pushed, Registry, RegistryError, RegistryOptions, Resolved, Timeouts, challenge,
};
pub use store::{ArtifactStore, FetchError, FetchOptions, Fetched, Origin};
