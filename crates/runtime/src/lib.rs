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

mod admission;
mod background;
mod breaches;
mod call;
mod command;
mod compiled;
mod component;
mod config;
mod engine;
mod error;
mod fairness;
mod guest;
mod idle;
mod limit_names;
mod limits;
mod load;
mod log_rate;
mod logs;
mod machine;
mod memory;
mod meter;
mod module;
mod newer_wasi;
mod outbound;
mod proposals;
mod put_off;
mod resident;
mod runtime;
mod spare;
mod stdin;
mod stdio;
mod ticker;
mod watch;
mod way_out;

pub use command::{Command, CommandError, CommandOptions, Directory, GrantError, LocalGrants};
pub use compiled::{CodeOrigin, precompiled, room, worker as compile_worker};
pub use component::imports::contract_of as contract_of_import;
pub use config::{CodeCacheConfig, CompileBound, CompilePriority, CompileProcess, RuntimeConfig};
pub use engine::{Allocation, Reservation};
pub use error::{LoadError, RuntimeError};
pub use guest::{Guest, GuestKind};
pub use limit_names::{Limit, LimitError, LimitSettings, parse_size};
pub use limits::GuestLimits;
pub use outbound::{CallContext, Denied, Outbound, OutboundCall, OutboundTarget};
pub use put_off::use_idle_time;
pub use runtime::{Identity, Runtime};
pub use watch::Watch;

/// A streamed body; the same concrete type as everywhere in the workspace.
pub use contracts::http_message::HttpBody;
