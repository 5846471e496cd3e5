//! What modules and components have in common as code, and the one place where bytes become native code.

use std::path::Path;

use bytes::Bytes;
use wasmtime::{Engine, Module, component::Component};

use super::{
    Growth,
    cache::{CodeCache, SealedFile},
    live_code::LiveCode,
    memory_headroom,
    seal::{Broken, CodeId},
};

/// The code of one engine that somebody has.
pub(crate) struct AllLive {
    modules: LiveCode<Module>,
    components: LiveCode<Component>,
}

impl AllLive {
    pub(super) fn new() -> Self {
        Self { modules: LiveCode::new(), components: LiveCode::new() }
    }
}

/// A [`Module`] or a [`Component`].
pub(crate) trait Code: Sized + Send + Sync + 'static {
    /// Keeps the two apart in fingerprints.
    const KIND: &'static str;

    fn live(all: &AllLive) -> &LiveCode<Self>;
    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self>;
    fn precompile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Vec<u8>>;

    /// # Safety
    /// What is at `path` must be what [`Code::precompile`] made, and nobody may change it.
    #[expect(unsafe_code, reason = "native code is whatever its bytes are; callers have checked the seal")]
    unsafe fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Self>;

    /// # Safety
    /// `code` must be what [`Code::precompile`] made.
    #[expect(unsafe_code, reason = "native code is whatever its bytes are; callers have checked the seal")]
    unsafe fn copy(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self>;
}

/// Code from a file that was found sealed. Mapped, so that its pages are shared and can be dropped; copied where the
/// file system does not allow for code to be mapped.
#[expect(unsafe_code, reason = "native code is whatever its bytes are")]
pub(super) fn from_file<T: Code>(engine: &Engine, sealed: &SealedFile) -> wasmtime::Result<T> {
    // SAFETY: the seal was checked over the bytes of this very file: this machine made them by `precompile` for an
    // engine with the same fingerprint. The directory is ours alone, and we never write to a file that has its name.
    let mapped = unsafe { T::map(engine, &sealed.path()) };
    mapped.or_else(|error| {
        tracing::debug!(%error, "code cannot be mapped and is copied");
        let bytes = sealed.read().map_err(wasmtime::Error::from)?;
        // SAFETY: as above.
        unsafe { T::copy(engine, &bytes) }
    })
}

/// Code in memory that this machine made.
pub(super) struct OurCode(Bytes);

impl OurCode {
    /// Compiles.
    pub(super) fn make<T: Code>(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        T::precompile(engine, wasm).map(|code| Self(code.into()))
    }

    /// Takes code over from a process of ours that compiled it.
    pub(super) fn of_worker(code: Vec<u8>) -> Self {
        Self(code.into())
    }

    /// Takes code over that has its seal behind it.
    pub(super) fn unseal(cache: &CodeCache, id: &CodeId, sealed: Bytes) -> Result<Self, Broken> {
        cache.check_sealed(id, &sealed).map(|code_len| Self(sealed.slice(..code_len)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[expect(unsafe_code, reason = "native code is whatever its bytes are")]
    pub(super) fn load<T: Code>(&self, engine: &Engine) -> wasmtime::Result<T> {
        // SAFETY: there are three ways to one of these: what `precompile` returned, here or in a process of this very
        // program that nobody else talks to, and what has our seal, which stands only behind what `precompile` returned.
        unsafe { T::copy(engine, &self.0) }
    }
}

/// Compiles wasm, with room where it is to have some. An error is that of the wasm as it was.
pub(super) fn prepared<C>(
    wasm: &[u8],
    growth: Growth,
    compile: impl Fn(&[u8]) -> wasmtime::Result<C>,
) -> wasmtime::Result<C> {
    if growth == Growth::Roomy
        && let Some(roomy) = memory_headroom::give(wasm)
        && let Ok(code) = compile(&roomy)
    {
        return Ok(code);
    }
    compile(wasm)
}

impl Code for Module {
    const KIND: &'static str = "module";

    fn live(all: &AllLive) -> &LiveCode<Self> {
        &all.modules
    }

    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, wasm)
    }

    fn precompile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_module(wasm)
    }

    #[expect(unsafe_code, clippy::disallowed_methods, reason = "as the trait; the file is from our private cache")]
    unsafe fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Self> {
        // SAFETY: passed on.
        unsafe { Self::deserialize_file(engine, path) }
    }

    #[expect(unsafe_code, reason = "as the trait")]
    unsafe fn copy(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: passed on.
        unsafe { Self::deserialize(engine, code) }
    }
}

impl Code for Component {
    const KIND: &'static str = "component";

    fn live(all: &AllLive) -> &LiveCode<Self> {
        &all.components
    }

    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, wasm)
    }

    fn precompile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_component(wasm)
    }

    #[expect(unsafe_code, clippy::disallowed_methods, reason = "as the trait; the file is from our private cache")]
    unsafe fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Self> {
        // SAFETY: passed on.
        unsafe { Self::deserialize_file(engine, path) }
    }

    #[expect(unsafe_code, reason = "as the trait")]
    unsafe fn copy(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: passed on.
        unsafe { Self::deserialize(engine, code) }
    }
}
