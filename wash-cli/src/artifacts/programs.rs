//! Programs that run here by themselves: getting hold of their wasm, and the engine they run on.
//!
//! Knows neither lattices nor hosts. No signature is needed for what a user runs by hand; whether there is one is said
//! only when asked for.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    thread,
};

use bytes::Bytes;
use claims::wasm;
use clap::{Args, builder::BoolishValueParser};
use runtime::{
    CodeCacheConfig, CodeOrigin, CompileBound, CompilePriority, LoadError, Runtime, RuntimeConfig, precompiled,
};

use crate::{
    arguments::reference::{self, Place},
    artifacts::registry::{FetchArgs, RegistryArgs},
    context::Context,
    keys::signing::now,
    machine::given_file,
    terminal::{
        failure::{Failure, Result},
        output::Printer,
    },
};

/// Address space that is reserved: for one program, whatever it is made of.
const INSTANCES: u32 = 4;
/// As much linear memory as a wasm of 32 bits can have.
const LARGEST_MEMORY: u64 = 4 << 30;
const TABLE_ELEMENTS: u32 = 1 << 20;
/// Programs that were not written for small stacks run here, too.
const PROGRAM_STACK: usize = 1 << 20;
/// As hosts have it, whose directory it is, too.
const CODE_CACHE_BYTES: u64 = 512 << 20;

/// Options of the engine.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Take components of WASI 0.3 as well, whose support is experimental
    #[arg(long, env = "WASH_WASI_P3", num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    wasi_p3: bool,
}

/// Reads or fetches a program.
///
/// # Errors
/// It cannot be had, or is no WebAssembly.
pub async fn read(program: &OsStr, fetch: &FetchArgs, registry: &RegistryArgs, context: &Context) -> Result<Bytes> {
    let shown = program.display().to_string();
    match reference::place(program)? {
        Place::File(path) => {
            let bytes = Bytes::from(given_file::read_artifact(&path)?);
            fetch.check_file(&path, &bytes)?;
            given_file::wasm(&shown, &bytes)?;
            Ok(bytes)
        }
        Place::Registry(reference) => {
            let bytes = fetch.fetch(&reference, registry, context).await?.bytes;
            given_file::wasm(&shown, &bytes)?;
            Ok(bytes)
        }
    }
}

/// The name a program goes by: the last part of what was typed.
pub fn name(program: &OsStr) -> String {
    let name = Path::new(program).file_name();
    name.unwrap_or(program).to_string_lossy().into_owned()
}

/// The file of this kind that belongs to a program: beside a file, and here for what is fetched.
pub fn beside(program: &OsStr, extension: &str) -> PathBuf {
    match reference::place(program) {
        Ok(Place::File(path)) => path.with_extension(extension),
        _ => {
            let name = name(program);
            let name = name.split(['@', ':']).next().unwrap_or(&name);
            PathBuf::from(format!("{name}.{extension}"))
        }
    }
}

/// The engine for one program.
///
/// # Errors
/// This machine has no room for any.
pub fn engine(args: &EngineArgs, context: &Context) -> Result<Runtime> {
    let config = RuntimeConfig {
        max_instances: INSTANCES,
        memory_bytes: LARGEST_MEMORY,
        table_elements: TABLE_ELEMENTS,
        guest_stack_bytes: PROGRAM_STACK,
        stack_bytes: 4 * PROGRAM_STACK,
        ..server_config(args, context)
    };
    Ok(Runtime::new(&config)?)
}

/// The engine for a program that answers many requests at once.
///
/// # Errors
/// This machine has no room for any.
pub fn server_engine(args: &EngineArgs, context: &Context) -> Result<Runtime> {
    Ok(Runtime::new(&server_config(args, context))?)
}

fn server_config(args: &EngineArgs, context: &Context) -> RuntimeConfig {
    RuntimeConfig {
        wasi_p3: args.wasi_p3,
        code_cache: Some(CodeCacheConfig { dir: context.home.code(), max_bytes: CODE_CACHE_BYTES }),
        // There is nothing else to do meanwhile, and whoever waits can stop it.
        compile_threads: thread::available_parallelism().map_or(1, usize::from),
        compile_priority: CompilePriority::Normal,
        compile_bound: CompileBound::None,
        ..RuntimeConfig::default()
    }
}

/// Says where the code of a program is from: always when it was not used as it came, else only when asked for.
pub fn tell_origin(printer: &Printer, program: &str, origin: &CodeOrigin) {
    match origin {
        CodeOrigin::Recompiled { reason } => {
            printer.note(format!("note: the code in `{program}` is not used, so it was compiled anew: {reason}"));
        }
        CodeOrigin::Compiled => printer.detail(|| "compiled just now".to_owned()),
        CodeOrigin::Cache => printer.detail(|| "code from the cache".to_owned()),
        CodeOrigin::Precompiled => printer.detail(|| "precompiled".to_owned()),
    }
}

/// Says, when asked for, who signed it.
pub fn tell_signature(printer: &Printer, artifact: &Bytes) {
    // What cannot be taken apart is refused with a reason when it is to be compiled.
    let wasm = precompiled::original_wasm(artifact).unwrap_or_default();
    printer.detail(|| match wasm::verify_actor(&wasm, now()) {
        Ok(signed) => format!("signed: `{}` by `{}`", signed.id, signed.issuer),
        Err(error) => format!("no valid signature, and none is needed here: {error}"),
    });
}

/// Why a program cannot be run, with the next step.
pub fn refused(program: &str, error: &LoadError) -> Failure {
    let failure = Failure::new(error.to_string()).while_doing(format!("cannot run `{program}`"));
    match error.code() {
        "no_entry_point" | "unknown_imports" | "not_granted" => failure.hint(
            "commands run with `wash run`, `wasi:http` components with `wash serve`, and whatever calls providers is an \
             actor: `wash claims sign`, then `wash start actor`",
        ),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compiled_is_named_after_the_program() {
        let file = tempfile::Builder::new().suffix(".wasm").tempfile().expect("a temporary file");
        assert_eq!(beside(file.path().as_os_str(), "cwasm"), file.path().with_extension("cwasm"));
        assert_eq!(beside(OsStr::new("localhost:5000/acme/echo:1.0"), "cwasm"), Path::new("echo.cwasm"));
        for (program, expected) in [("bin/wc.wasm", "wc.wasm"), ("ghcr.io/acme/wc:1", "wc:1")] {
            assert_eq!(name(OsStr::new(program)), expected);
        }
    }
}
