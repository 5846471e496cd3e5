//! From wasm to code that runs: compiled here, or taken from where it was compiled before.
//!
//! Knows engines and bytes, not actors. Invariants: code that is deserialised was made by this machine and is unchanged
//! since; compiling happens on threads of its own, so it never holds up a running actor.

mod pool;
mod shelf;

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, Module, component::Component};

use crate::{LoadError, load};
pub(crate) use pool::CompilePool;
use shelf::{Found, Shelf};

/// Where the code of a guest is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeOrigin {
    /// It was compiled just now.
    Compiled,
    /// It had been compiled before: another guest has it, or the code cache.
    Cache,
    /// It came with the artifact, precompiled by this machine.
    Precompiled,
    /// There was code, but not for this machine and version, or damaged; it was compiled anew.
    Recompiled {
        /// What was wrong with it.
        reason: String,
    },
}

/// SHA-256 of a wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// Makes the code of one engine.
pub(crate) struct Compiler {
    engine: Engine,
    pool: CompilePool,
    modules: Shelf<Module>,
    components: Shelf<Component>,
}

impl Compiler {
    pub(crate) fn new(engine: &Engine, pool: CompilePool) -> Arc<Self> {
        Arc::new(Self { engine: engine.clone(), pool, modules: Shelf::new(), components: Shelf::new() })
    }

    /// The code of a core module.
    pub(crate) async fn module(self: &Arc<Self>, wasm: &Bytes) -> Result<(Arc<Module>, CodeOrigin), LoadError> {
        self.code(wasm).await
    }

    /// The code of a component.
    pub(crate) async fn component(self: &Arc<Self>, wasm: &Bytes) -> Result<(Arc<Component>, CodeOrigin), LoadError> {
        self.code(wasm).await
    }

    /// In a task of its own, so that a caller who leaves does not undo what others wait for.
    async fn code<T: Code>(self: &Arc<Self>, wasm: &Bytes) -> Result<(Arc<T>, CodeOrigin), LoadError> {
        let (this, wasm) = (self.clone(), wasm.clone());
        let made = tokio::spawn(async move { this.find_or_make(wasm).await });
        made.await.map_err(|error| LoadError::HostFault { reason: error.to_string() })?
    }

    async fn find_or_make<T: Code>(&self, wasm: Bytes) -> Result<(Arc<T>, CodeOrigin), LoadError> {
        let hashed = wasm.clone();
        let digest = tokio::task::spawn_blocking(move || Digest::of(&hashed));
        let digest = digest.await.map_err(|error| LoadError::HostFault { reason: error.to_string() })?;
        let making = match T::shelf(self).get(digest).await {
            Found::Alive(code) => return Ok((code, CodeOrigin::Cache)),
            Found::Empty(making) => making,
        };
        let engine = self.engine.clone();
        let compiled = self.pool.run(move || T::compile(&engine, &wasm)).await?;
        let code = compiled.map_err(|error| load::invalid(&error))?;
        Ok((making.done(code), CodeOrigin::Compiled))
    }
}

/// What modules and components have in common as code.
trait Code: Sized + Send + Sync + 'static {
    fn shelf(compiler: &Compiler) -> &Shelf<Self>;
    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self>;
}

impl Code for Module {
    fn shelf(compiler: &Compiler) -> &Shelf<Self> {
        &compiler.modules
    }

    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, wasm)
    }
}

impl Code for Component {
    fn shelf(compiler: &Compiler) -> &Shelf<Self> {
        &compiler.components
    }

    fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, wasm)
    }
}
