//! `wash inspect`: what an artifact claims, and whether it is true.
//!
//! Finds the artifact, in a file or in a registry; `show` renders its claims. Shows claims also when they do not hold; a
//! host would refuse such an artifact, and the text says why.

mod show;
mod wit;

use std::{ffi::OsString, path::Path};

use artifacts::Format;
use bytes::Bytes;
use claims::{ActorMetadata, Claims, ProviderMetadata, archive, wasm};
use clap::Args;

use crate::{
    arguments::reference::{self, Place},
    artifacts::registry::{FetchArgs, RegistryArgs},
    context::Context,
    keys::signing::now,
    machine::given_file,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// Options of `wash inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Signed actor (`.wasm`), provider archive (`.par`, `.par.gz`), or a reference to one in a registry
    target: OsString,
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
            (fetched.bytes, Some(fetched.manifest_digest))
        }
    };
    let output = inspect(args, &bytes)?;
    Ok(match fetched {
        Some(digest) => output.with("digest", digest.to_string()),
        None => output,
    })
}

impl InspectArgs {
    fn shown(&self) -> String {
        self.target.display().to_string()
    }
}

fn read(path: &Path, args: &InspectArgs) -> Result<Bytes> {
    let bytes = given_file::read_artifact(path)?;
    args.fetch.check_file(path, &bytes)?;
    Ok(bytes.into())
}

fn inspect(args: &InspectArgs, bytes: &Bytes) -> Result<Output> {
    let shown = &args.shown();
    let found = Format::of(bytes);
    match found {
        found if args.wit && !found.is_wasm() => Err(wit::none(shown, &found.to_string())),
        found if found.is_wasm() && args.wit => wit::show(shown, &given_file::wasm(shown, bytes)?),
        // Of compiled code the claims are those of what it was made from.
        found if found.is_wasm() => inspect_actor(args, &given_file::wasm(shown, bytes)?),
        found if found.may_be_archive() => inspect_archive(args, bytes),
        found => Err(Failure::new(format!("`{shown}` is {found}, neither an actor nor a provider archive"))
            .hint("give a signed `.wasm` file, or an archive that `wash par create` made")),
    }
}

fn inspect_archive(args: &InspectArgs, bytes: &[u8]) -> Result<Output> {
    let shown = args.shown();
    let (archive, targets) = archive::check_from(bytes, archive::Limits::default())
        .while_doing(|| format!("`{shown}` is no provider archive that a host would take"))?;
    if args.jwt_only {
        return Ok(Output::text(archive.token.clone()).with("token", archive.token));
    }
    let inspection = Claims::<ProviderMetadata>::inspect(&archive.token, now())?;
    Ok(show::provider(inspection, targets))
}

fn inspect_actor(args: &InspectArgs, bytes: &[u8]) -> Result<Output> {
    let shown = args.shown();
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
