//! The order in which code is looked for: alive in this process, beside the wasm, in the cache; else it is compiled.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::{Engine, Module, component::Component};

use super::{
    CodeOrigin, Digest, Growth,
    cache::{CodeCache, Lookup},
    code::{self, AllLive, Code, OurCode, prepared},
    live_code::{Found, Key},
    pool::CompilePool,
    precompiled,
    seal::{CodeId, Fingerprint},
    unloaded::Unloaded,
    weight::{Shape, Weight},
    worker::Task,
    workers::Workers,
};
use crate::{
    engine::{
        CodeSettings,
        config::{CompileBound, CompilePriority},
    },
    error::LoadError,
    load,
};

/// Makes the code of one engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Compiler {
    shared: Arc<Shared>,
}

/// Code, and where it is from.
pub(crate) struct Made<T> {
    pub(crate) code: Arc<T>,
    pub(crate) origin: CodeOrigin,
    /// What it is known by.
    pub(crate) key: Key,
}

struct Shared {
    engine: Engine,
    settings: CodeSettings,
    means: Means,
    live: AllLive,
}

/// What the compilers of all engines have in common. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Means {
    pool: CompilePool,
    bound: Bound,
    cache: Option<Arc<CodeCache>>,
}

/// What is done about what is heavy.
#[derive(Clone)]
enum Bound {
    None,
    Shape,
    Processes(Workers),
}

impl Means {
    pub(crate) fn new(
        threads: usize,
        priority: CompilePriority,
        bound: &CompileBound,
        cache: Option<Arc<CodeCache>>,
    ) -> Self {
        let bound = match bound {
            CompileBound::None => Bound::None,
            CompileBound::Shape => Bound::Shape,
            CompileBound::Process(process) => Bound::Processes(Workers::new(process.clone())),
        };
        Self { pool: CompilePool::new(threads, priority), bound, cache }
    }
}

impl Compiler {
    pub(crate) fn new(engine: &Engine, settings: CodeSettings, means: Means) -> Self {
        let (engine, live) = (engine.clone(), AllLive::new());
        Self { shared: Arc::new(Shared { engine, settings, means, live }) }
    }

    /// One for another engine, with the same threads and the same cache.
    pub(crate) fn for_engine(&self, engine: &Engine, settings: CodeSettings) -> Self {
        Self::new(engine, settings, self.shared.means.clone())
    }

    /// The code of a module or a component. In a task of its own, so that a caller who leaves does not undo what others
    /// wait for.
    pub(crate) async fn code<T: Code>(&self, artifact: &Bytes, growth: Growth) -> Result<Made<T>, LoadError> {
        let (shared, artifact) = (self.shared.clone(), artifact.clone());
        let made = tokio::spawn(async move { shared.find_or_make(artifact, growth).await });
        made.await.map_err(|error| LoadError::HostFault { reason: error.to_string() })?
    }

    /// A file that code can be loaded from again, so that whoever has the code may let go of it. None where there is no
    /// such file. Reads all of it: not for an async thread.
    pub(crate) fn unload<T: Code>(&self, key: Key) -> Option<Unloaded> {
        let (digest, growth) = key;
        match self.shared.means.cache.as_ref()?.get(&self.shared.id::<T>(digest, growth)) {
            Lookup::Hit(file) => Some(Unloaded { key, file }),
            Lookup::Missing | Lookup::Discarded(_) => None,
        }
    }

    /// The code that was let go of, or the same if somebody has it by now.
    pub(crate) async fn reload<T: Code>(&self, unloaded: Arc<Unloaded>) -> Result<Arc<T>, LoadError> {
        let making = match T::live(&self.shared.live).get(unloaded.key).await {
            Found::Alive(code) => return Ok(code),
            Found::Empty(making) => making,
        };
        let shared = self.shared.clone();
        let code = blocking(move || code::from_file(&shared.engine, &unloaded.file)).await?;
        code.map(|code| making.done(code)).map_err(|error| load::invalid(&error))
    }

    /// The wasm of an artifact together with its code, sealed by this machine.
    pub(crate) async fn precompile(&self, artifact: &Bytes) -> Result<Bytes, LoadError> {
        let shared = self.shared.clone();
        let cache = shared.means.cache.clone().ok_or(LoadError::NoCodeCache)?;
        let wasm = precompiled::original_wasm(artifact)?;
        let compile = move || {
            if wasmparser::Parser::is_component(&wasm) {
                shared.precompiled::<Component>(&cache, &wasm)
            } else {
                shared.precompiled::<Module>(&cache, &wasm)
            }
        };
        self.shared.means.pool.run(compile).await?
    }
}

impl Shared {
    async fn find_or_make<T: Code>(self: Arc<Self>, artifact: Bytes, growth: Growth) -> Result<Made<T>, LoadError> {
        let (wasm, beside) = precompiled::split(&artifact)?;
        let hashed = wasm.clone();
        let digest = blocking(move || Digest::of(&hashed)).await?;
        let key = (digest, growth);
        let made = |code, origin| Ok(Made { code, origin, key });
        let making = match T::live(&self.live).get(key).await {
            Found::Alive(code) => return made(code, CodeOrigin::Cache),
            Found::Empty(making) => making,
        };
        let (this, id) = (self.clone(), self.id::<T>(digest, growth));
        let origin = match blocking(move || this.find(&id, beside)).await? {
            Ok((code, origin)) => return made(making.done(code), origin),
            Err(origin) => origin,
        };
        let code = self.compile(id, wasm, growth).await?;
        made(making.done(code), origin)
    }

    /// Compiles where it harms nobody.
    async fn compile<T: Code>(self: &Arc<Self>, id: CodeId, wasm: Bytes, growth: Growth) -> Result<T, LoadError> {
        let shape = match self.means.bound {
            Bound::None => None,
            Bound::Shape | Bound::Processes(_) => {
                let wasm = wasm.clone();
                Some(blocking(move || Shape::of(&wasm)).await?)
            }
        };
        let heavy = shape.filter(|shape| shape.weight() == Weight::Heavy);
        if let (Some(shape), Bound::Shape) = (heavy, &self.means.bound)
            && let Some(reason) = shape.refusal()
        {
            return Err(LoadError::TooCostly { reason });
        }
        match (heavy, &self.means.bound) {
            (Some(_), Bound::Processes(workers)) => {
                let task = self.task::<T>(workers, &wasm, growth);
                let code = workers.compile(&task, id.fingerprint.0, &wasm).await?;
                let this = self.clone();
                let code = blocking(move || this.take(&id, &code)).await?;
                code.map_err(|error| load::invalid(&error))
            }
            _ => {
                let this = self.clone();
                let code = self.means.pool.run(move || this.make(&id, &wasm, growth)).await?;
                code.map_err(|error| load::invalid(&error))
            }
        }
    }

    fn task<T: Code>(&self, workers: &Workers, wasm: &Bytes, growth: Growth) -> Task {
        Task {
            code: self.settings,
            is_component: T::KIND == Component::KIND,
            growth,
            threads: self.means.pool.threads(),
            priority: self.means.pool.priority(),
            memory_bytes: workers.process().memory_bytes,
            seconds: workers.process().time.as_secs().max(1),
            wasm_bytes: wasm.len() as u64,
        }
    }

    /// Code that was made before; else what is to be said of code that must be made now.
    fn find<T: Code>(&self, id: &CodeId, beside: Option<Bytes>) -> Result<(T, CodeOrigin), CodeOrigin> {
        let unusable = |reason| CodeOrigin::Recompiled { reason };
        let Some(cache) = &self.means.cache else {
            let reason = "without a code cache there is no key to check it with".to_owned();
            return Err(if beside.is_some() { unusable(reason) } else { CodeOrigin::Compiled });
        };
        let beside = beside.map(|sealed| OurCode::unseal(cache, id, sealed));
        match (self.cached(cache, id), beside) {
            (Ok(Some(code)), Some(Ok(_))) => Ok((code, CodeOrigin::Precompiled)),
            (Ok(Some(code)), _) => Ok((code, CodeOrigin::Cache)),
            (_, Some(Ok(code))) => match self.keep(cache, id, &code) {
                Ok(code) => Ok((code, CodeOrigin::Precompiled)),
                Err(error) => Err(unusable(format!("{error:#}"))),
            },
            (_, Some(Err(broken))) => Err(unusable(broken.to_string())),
            (Err(reason), None) => Err(unusable(reason)),
            (Ok(None), None) => Err(CodeOrigin::Compiled),
        }
    }

    fn cached<T: Code>(&self, cache: &CodeCache, id: &CodeId) -> Result<Option<T>, String> {
        match cache.get(id) {
            Lookup::Hit(file) => match code::from_file(&self.engine, &file) {
                Ok(code) => Ok(Some(code)),
                Err(error) => Err(cache.discard(id, &format!("{error:#}"))),
            },
            Lookup::Missing => Ok(None),
            Lookup::Discarded(reason) => Err(reason),
        }
    }

    /// Compiles. With a cache the code runs from the file, whose pages the system may drop and share.
    fn make<T: Code>(&self, id: &CodeId, wasm: &[u8], growth: Growth) -> wasmtime::Result<T> {
        match &self.means.cache {
            None => prepared(wasm, growth, |wasm| T::compile(&self.engine, wasm)),
            Some(_) => {
                let code = prepared(wasm, growth, |wasm| OurCode::make::<T>(&self.engine, wasm))?;
                self.take(id, &code)
            }
        }
    }

    /// Code that was made just now.
    fn take<T: Code>(&self, id: &CodeId, code: &OurCode) -> wasmtime::Result<T> {
        match &self.means.cache {
            None => code.load(&self.engine),
            Some(cache) => self.keep(cache, id, code),
        }
    }

    fn keep<T: Code>(&self, cache: &CodeCache, id: &CodeId, code: &OurCode) -> wasmtime::Result<T> {
        let kept = cache.put(id, code.bytes()).and_then(|file| code::from_file(&self.engine, &file).ok());
        kept.map_or_else(|| code.load(&self.engine), Ok)
    }

    fn precompiled<T: Code>(&self, cache: &CodeCache, wasm: &[u8]) -> Result<Bytes, LoadError> {
        let code = prepared(wasm, Growth::Roomy, |wasm| OurCode::make::<T>(&self.engine, wasm));
        let code = code.map_err(|error| load::invalid(&error))?;
        let sealed = cache.seal(&self.id::<T>(Digest::of(wasm), Growth::Roomy), code.bytes());
        Ok(precompiled::join(wasm, &sealed))
    }

    fn id<T: Code>(&self, wasm: Digest, growth: Growth) -> CodeId {
        CodeId { wasm, fingerprint: Fingerprint::new(&self.engine, T::KIND, growth) }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| LoadError::HostFault { reason: error.to_string() })
}
