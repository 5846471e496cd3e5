//! The wasmtime embedding: runs actors, whatever they do, without harm to the host or to each other.
//!
//! A [`Runtime`] holds the one wasmtime *engine* of the process: compiled code, pooled memory, the clock that interrupts
//! guests. [`Runtime::load`] compiles an artifact and links it once to the host functions (*pre-instantiation*); the
//! result is a [`Guest`]. Every call makes a *store* with a fresh instance, bounded by [`GuestLimits`], and drops it
//! afterwards, so no state passes from call to call. A guest leaves only through [`Outbound`].
//!
//! This crate knows no NATS, no links and no signatures.
//!
//! ```no_run
//! # use std::{sync::Arc, time::{Duration, Instant}};
//! # use runtime::*;
//! # async fn example(wasm: bytes::Bytes, identity: Identity) -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::new(&RuntimeConfig::default())?;
//! let guest = runtime.load(wasm, identity, GuestLimits::default()).await?;
//! let context = CallContext {
//!     deadline: Instant::now() + Duration::from_secs(2),
//!     trace: Default::default(),
//!     outbound: Arc::new(Denied),
//! };
//! let answer = guest.call("Echo.Echo", "hello".into(), context).await?;
//! # Ok(())
//! # }
//! ```

mod actor;
mod call;
mod command;
mod compiled;
mod component;
mod engine;
mod error;
mod guest;
mod instances;
mod limits;
mod load;
mod module;
mod runtime;
mod schedule;
mod sync;

pub use actor::{
    identity::Identity,
    local_grants::{Directory, GrantError, LocalGrants},
};
pub use call::{
    outbound::{CallContext, Denied, Outbound, OutboundCall, OutboundTarget},
    watch::Watch,
};
pub use command::{Command, CommandError, CommandOptions};
pub use compiled::{CodeOrigin, memory_headroom, precompiled, worker as compile_worker};
pub use component::imports::contract_of as contract_of_import;
pub use engine::{
    Allocation, Reservation,
    config::{CodeCacheConfig, CompileBound, CompilePriority, CompileProcess, RuntimeConfig},
};
pub use error::{LoadError, RuntimeError};
pub use guest::{Guest, linked::GuestKind};
pub use limits::{
    GuestLimits,
    names::Limit,
    settings::{LimitError, LimitSettings, parse_size},
};
pub use runtime::Runtime;
pub use schedule::thread_idle::use_idle_time;

/// A streamed body; the same concrete type as everywhere in the workspace.
pub use contracts::http_message::HttpBody;
