//! From the bytes of an artifact to a guest: its code, as roomy as its limits allow, linked.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::{Module, component::Component};

use crate::{
    actor::{Actor, broken_limits::BrokenLimits, identity::Identity, local_grants::LocalGrants},
    compiled::{CodeOrigin, Growth, compiler::Made, live_code::Key, precompiled},
    error::LoadError,
    guest::{Guest, linked::GuestCode, platform::Platform},
    limits::GuestLimits,
    load,
};

/// Code that is not linked yet, how it is found again, and where it is from.
type Loaded = (GuestCode, Key, CodeOrigin);

pub(super) async fn guest(
    platform: Arc<Platform>,
    artifact: Bytes,
    identity: Identity,
    mut limits: GuestLimits,
    local: LocalGrants,
) -> Result<Guest, LoadError> {
    limits.memory_bytes = limits.memory_bytes.min(platform.memory_bytes);
    limits.table_elements = limits.table_elements.min(platform.table_elements);
    let broken_limits = BrokenLimits::new(platform.limit_broken.clone());
    let actor = Arc::new(Actor { local, ..Actor::new(identity, limits, platform.memory.share(), broken_limits) });
    let (code, key, origin) = if wasmparser::Parser::is_component(&precompiled::original_wasm(&artifact)?) {
        component(&platform, &artifact, &actor.limits).await?
    } else {
        module(&platform, &artifact, &actor.limits).await?
    };
    let body = platform.link(code, &actor).await?;
    Ok(Guest::new(platform, actor, body, key, origin))
}

async fn component(platform: &Platform, artifact: &Bytes, limits: &GuestLimits) -> Result<Loaded, LoadError> {
    let mut made: Made<Component> = platform.compiler.code(artifact, Growth::Roomy).await?;
    if made.code.resources_required().is_some_and(|needed| load::is_tight(&needed, limits)) {
        made = platform.compiler.code(artifact, Growth::Exact).await?;
    }
    Ok((GuestCode::Component(made.code), made.key, made.origin))
}

async fn module(platform: &Platform, artifact: &Bytes, limits: &GuestLimits) -> Result<Loaded, LoadError> {
    let mut made: Made<Module> = platform.compiler.code(artifact, Growth::Roomy).await?;
    if load::is_tight(&made.code.resources_required(), limits) {
        made = platform.compiler.code(artifact, Growth::Exact).await?;
    }
    Ok((GuestCode::Module(made.code), made.key, made.origin))
}
