//! `wash drain`: empties what wash has cached.
//!
//! Whatever is removed can be fetched again. Hosts that run take no harm: what they run they have, and what is gone is a
//! miss.

use clap::{Args, ValueEnum};

use crate::{
    artifacts::registry::CacheArgs,
    context::Context,
    terminal::{
        failure::{Failure, Result},
        output::{Output, size},
    },
};

/// Options of `wash drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// What to empty
    #[arg(value_enum)]
    what: What,
    #[command(flatten)]
    cache: CacheArgs,
}

/// The caches, those of older versions included, of which there is nothing to empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Everything
    All,
    /// What was fetched from registries, by wash and by the hosts of this machine
    Oci,
    #[value(hide = true)]
    Lib,
    #[value(hide = true)]
    Smithy,
    #[value(hide = true)]
    Downloads,
}

/// Runs `wash drain`.
///
/// # Errors
/// A file cannot be removed, or what was named is no cache.
pub fn run(args: &DrainArgs, context: &Context) -> Result<Output> {
    if !matches!(args.what, What::All | What::Oci) {
        return Ok(
            Output::text("Nothing to empty: wash keeps no such cache any more").with("drained", Vec::<String>::new())
        );
    }
    let directory = args.cache.directory(context);
    let shown = directory.display();
    // A cache that is not there is not made for this, and nothing is made a cache by being named here.
    if !directory.exists() {
        return Ok(Output::text(format!("Nothing to empty: there is no {shown}"))
            .with("drained", Vec::<String>::new())
            .with("bytes", 0));
    }
    if !directory.join("blobs").is_dir() {
        return Err(Failure::new(format!("`{shown}` is not a cache of artifacts"))
            .hint("name the directory that `--cache-dir` of hosts and `wash` names, or leave it out"));
    }
    let freed = args.cache.open(context)?.clear()?;
    let text = match freed {
        0 => format!("{shown} is empty already"),
        bytes => format!("Emptied {shown} ({})", size(bytes)),
    };
    Ok(Output::text(text).with("drained", vec![shown.to_string()]).with("bytes", freed))
}
