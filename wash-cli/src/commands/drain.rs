//! `wash drain`: empties what wash has cached.
//!
//! Whatever is removed can be fetched again. Hosts that run take no harm: what they run they have, and what is gone is a
//! miss.

use clap::{Args, ValueEnum};

use crate::{
    context::Context,
    failure::Result,
    output::{Output, size},
    registry::CacheArgs,
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
/// A file cannot be removed.
pub fn run(args: &DrainArgs, context: &Context) -> Result<Output> {
    if !matches!(args.what, What::All | What::Oci) {
        return Ok(
            Output::text("Nothing to empty: wash keeps no such cache any more").with("drained", Vec::<String>::new())
        );
    }
    let directory = args.cache.directory(context);
    // A cache that is not there is not made for this.
    let freed = if directory.is_dir() { args.cache.open(context)?.clear()? } else { 0 };
    let shown = directory.display();
    let text = match freed {
        0 => format!("{shown} is empty already"),
        bytes => format!("Emptied {shown} ({})", size(bytes)),
    };
    Ok(Output::text(text).with("drained", vec![shown.to_string()]).with("bytes", freed))
}
