//! `wash compile`: a file that carries its compiled code along.
//!
//! The code is sealed with the key of this machine's code cache; elsewhere the wasm in the file is compiled anew.

use std::{ffi::OsString, path::PathBuf, time::Instant};

use clap::Args;
use runtime::precompiled;

use crate::{
    artifacts::{
        programs::{self, EngineArgs},
        registry::{FetchArgs, RegistryArgs},
    },
    context::Context,
    machine::files,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::{Output, size},
    },
};

/// Options of `wash compile`.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Module or component: a file (`.wasm`, or `.cwasm` of another machine), or a reference to a registry
    #[arg(value_name = "FILE|REF")]
    program: OsString,
    /// Where the result goes [default: the same name with `.cwasm`; of what was fetched, here]
    #[arg(long, value_name = "FILE")]
    destination: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    fetch: FetchArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs `wash compile`.
///
/// # Errors
/// The wasm cannot be had or does not compile, the code cache cannot be used, or the file cannot be written.
pub async fn run(args: &CompileArgs, context: &Context) -> Result<Output> {
    let name = programs::name(&args.program);
    let given = programs::read(&args.program, &args.fetch, &args.registry, context).await?;
    let doing = || format!("cannot compile `{name}`");
    let wasm = precompiled::original_wasm(&given).while_doing(doing)?;
    let began = Instant::now();
    let compiled = programs::engine(&args.engine, context)?.precompile(wasm.clone()).await.map_err(|error| {
        let failure = Failure::from(error.clone()).while_doing(doing());
        match error.code() {
            "no_code_cache" => failure.hint(format!("make `{}` usable for you alone", context.home.code().display())),
            _ => failure,
        }
    })?;
    let took = began.elapsed();
    let file = args.destination.clone().unwrap_or_else(|| programs::beside(&args.program, "cwasm"));
    files::replace(&file, &compiled)?;
    let (before, after) = (wasm.len() as u64, compiled.len() as u64);
    let text = format!(
        "Wrote {} ({})\n  wasm      {}\n  code      {}\n  compiled  in {} ms, for this machine",
        file.display(),
        size(after),
        size(before),
        size(after - before),
        took.as_millis()
    );
    Ok(Output::text(text)
        .with("file", file.to_string_lossy())
        .with("wasm_bytes", before)
        .with("bytes", after)
        .with("millis", u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
}
