//! `wash inspect`: what an artifact claims, and whether it is true.
//!
//! Finds the artifact, in a file or in a registry; `show` renders its claims. Shows claims also when they do not hold; a
//! host would refuse such an artifact, and the text says why.

mod show;
mod wit;

use std::{fs, path::Path};

use claims::{ActorMetadata, Claims, ProviderMetadata, archive, wasm};
use clap::Args;

use crate::{
    context::Context,
    failure::{Failure, OrFail, Result},
    output::Output,
    reference::{self, Place},
    registry::{FetchArgs, RegistryArgs},
    signing::now,
};

const WASM_MAGIC: &[u8] = b"\0asm";

/// Options of `wash inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Signed actor (`.wasm`), provider archive (`.par`, `.par.gz`), or a reference to one in a registry
    target: String,
    /// Print the token as it is
    #[arg(long)]
    jwt_only: bool,
    /// Print the WIT world of a component instead of its claims
    #[arg(long, conflicts_with = "jwt_only")]
    wit: bool,
    #[command(flatten)]
    fetch: FetchArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs `wash inspect`.
///
/// # Errors
/// The artifact cannot be had, is neither of the two, or carries no claims.
pub async fn run(args: &InspectArgs, context: &Context) -> Result<Output> {
    let (bytes, fetched) = match reference::place(&args.target)? {
        Place::File(path) => (read(&path, args)?, None),
        Place::Registry(reference) => {
            let fetched = args.fetch.fetch(&reference, &args.registry, context).await?;
            (fetched.bytes.to_vec(), Some(fetched.manifest_digest))
        }
    };
    let output = inspect(args, &bytes)?;
    Ok(match fetched {
        Some(digest) => output.with("digest", digest.to_string()),
        None => output,
    })
}

fn read(path: &Path, args: &InspectArgs) -> Result<Vec<u8>> {
    let bytes = fs::read(path).while_doing(|| format!("cannot read `{}`", path.display()))?;
    args.fetch.check_file(path, &bytes)?;
    Ok(bytes)
}

fn inspect(args: &InspectArgs, bytes: &[u8]) -> Result<Output> {
    let shown = &args.target;
    if args.wit {
        return wit::show(shown, bytes);
    }
    if bytes.starts_with(WASM_MAGIC) {
        return inspect_actor(args, bytes);
    }
    let archive =
        archive::read(bytes).while_doing(|| format!("cannot read `{shown}` as an actor or a provider archive"))?;
    if args.jwt_only {
        return Ok(Output::text(archive.token.clone()).with("token", archive.token));
    }
    let inspection = Claims::<ProviderMetadata>::inspect(&archive.token, now())?;
    Ok(show::provider(inspection, archive.targets.keys().cloned().collect()))
}

fn inspect_actor(args: &InspectArgs, bytes: &[u8]) -> Result<Output> {
    let shown = &args.target;
    let token = wasm::extract(bytes).while_doing(|| format!("cannot read `{shown}`"))?.ok_or_else(|| {
        Failure::new(format!("`{shown}` is not signed"))
            .hint(format!("sign it with `wash claims sign {shown} --name NAME`"))
    })?;
    if args.jwt_only {
        return Ok(Output::text(token.clone()).with("token", token));
    }
    let inspection = Claims::<ActorMetadata>::inspect(&token, now())
        .while_doing(|| format!("the claims of `{shown}` cannot be read"))?;
    let hash = wasm::canonical_hash(bytes).while_doing(|| format!("cannot read `{shown}`"))?;
    Ok(show::actor(inspection, &hash))
}
