//! `wash pull`: an artifact of a registry into a file.
//!
//! Only what a host would look at is written: a signed actor or a provider archive.

use std::path::{Path, PathBuf};

use artifacts::{ArtifactKind, Reference};
use clap::Args;

use crate::{
    artifacts::registry::{FetchArgs, RegistryArgs},
    context::Context,
    machine::files,
    terminal::{
        failure::{OrFail, Result},
        output::{Output, size},
    },
};

/// Options of `wash pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// What to pull: `registry/repository:tag`, or `registry/repository@sha256:…`
    #[arg(value_name = "REFERENCE")]
    url: String,
    /// Where it goes [default: the repository's last part, with `.wasm` or `.par.gz`, here]
    #[arg(long, value_name = "FILE")]
    destination: Option<PathBuf>,
    #[command(flatten)]
    fetch: FetchArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs `wash pull`.
///
/// # Errors
/// The registry does not give it, it is no artifact of ours, or the file cannot be written.
pub async fn run(args: &PullArgs, context: &Context) -> Result<Output> {
    let reference = args.registry.reference(&args.url)?;
    let fetched = args.fetch.fetch(&args.url, &args.registry, context).await?;
    let kind = ArtifactKind::recognize(&fetched.bytes)
        .while_doing(|| format!("no host would run what is in `{}`, so it is not written", args.url))?;
    let file = args.destination.clone().unwrap_or_else(|| default_destination(&reference, kind));
    files::replace(&file, &fetched.bytes)?;
    let text = format!(
        "Wrote {} ({})\n  content   {}\n  manifest  {}",
        file.display(),
        size(fetched.bytes.len() as u64),
        fetched.digest,
        fetched.manifest_digest
    );
    Ok(Output::text(text)
        .with("file", file.to_string_lossy())
        .with("digest", fetched.manifest_digest.to_string())
        .with("content_digest", fetched.digest.to_string()))
}

fn default_destination(reference: &Reference, kind: ArtifactKind) -> PathBuf {
    let name = reference.repository().rsplit('/').next().unwrap_or(reference.repository());
    let extension = if kind == ArtifactKind::Provider { "par.gz" } else { "wasm" };
    Path::new(&format!("{name}.{extension}")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_after_the_repository() {
        let reference = Reference::parse("localhost:5000/acme/echo:1.0", None).expect("a reference");
        assert_eq!(default_destination(&reference, ArtifactKind::Actor), Path::new("echo.wasm"));
        assert_eq!(default_destination(&reference, ArtifactKind::Provider), Path::new("echo.par.gz"));
    }
}
