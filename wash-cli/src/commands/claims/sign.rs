//! `wash claims sign`: puts signed claims into an actor's binary.

use std::path::{Path, PathBuf};

use claims::{Claims, KeyKind, wasm};
use clap::Args;

use super::ActorClaimsArgs;
use crate::{
    context::Context,
    failure::{Failure, OrFail, Result},
    files, given_file, keystore,
    output::Output,
    signing::{DEFAULT_REVISION, DEFAULT_VERSION, KeyArgs, ValidityArgs, now},
};

/// Options of `wash claims sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// WebAssembly file: a waPC module or a WASI 0.2 component
    wasm: PathBuf,
    /// Where the signed file goes [default: beside it, with `_s` before `.wasm`]
    #[arg(short = 'd', long, value_name = "FILE")]
    destination: Option<PathBuf>,
    /// Name [default: that of the file]
    #[arg(short = 'n', long)]
    name: Option<String>,
    /// Revision, a number that grows
    #[arg(short = 'r', long, alias = "revision", default_value_t = DEFAULT_REVISION)]
    rev: i32,
    /// Version
    #[arg(short = 'v', long, alias = "version", default_value = DEFAULT_VERSION)]
    ver: String,
    #[command(flatten)]
    actor: ActorClaimsArgs,
    #[command(flatten)]
    validity: ValidityArgs,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Runs `wash claims sign`.
///
/// # Errors
/// The file is no WebAssembly, a key is missing or of the wrong kind, or the result cannot be written.
pub fn run(args: &SignArgs, context: &Context) -> Result<Output> {
    let shown = args.wasm.display();
    let binary = given_file::read_artifact(&args.wasm)?;
    // Before any key is made: a file that cannot be signed leaves nothing behind.
    wasm::canonicalize(&binary).while_doing(|| format!("cannot sign `{shown}`"))?;
    let stem = stem(&args.wasm)?;
    let name = args.name.clone().unwrap_or_else(|| stem.clone());
    let metadata = args.actor.metadata(name.clone(), args.rev, args.ver.clone())?;
    let contracts = metadata.caps.clone().unwrap_or_default();
    let destination = args.destination.clone().unwrap_or_else(|| default_destination(&args.wasm, &stem));

    let store = args.keys.store(context);
    let account = keystore::account_name();
    let issuer = store.find_or_generate(args.keys.issuer.as_deref(), KeyKind::Account, &account, &context.printer)?;
    let subject = store.find_or_generate(args.keys.subject.as_deref(), KeyKind::Module, &stem, &context.printer)?;
    let now = now();
    let mut claims = Claims::new(issuer.public(), subject.public().to_string(), metadata, now);
    claims.expires_at = args.validity.expires_at(now);
    claims.not_before = args.validity.not_before(now);
    let signed = wasm::sign_actor(&binary, claims, &issuer).while_doing(|| format!("cannot sign `{shown}`"))?;
    files::replace(&destination, &signed)?;

    let granted = if contracts.is_empty() { "nothing".to_owned() } else { contracts.join(", ") };
    Ok(Output::text(format!(
        "Signed {}\n  actor   {} ({name})\n  issuer  {}\n  grants  {granted}",
        destination.display(),
        subject.public(),
        issuer.public(),
    ))
    .with("destination", destination.to_string_lossy())
    .with("capabilities", contracts)
    .with("actor_id", subject.public().to_string())
    .with("issuer", issuer.public().to_string()))
}

fn stem(path: &Path) -> Result<String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned)
        .ok_or_else(|| Failure::usage(format!("`{}` has no file name to take the actor's name from", path.display())))
}

fn default_destination(wasm: &Path, stem: &str) -> PathBuf {
    wasm.with_file_name(format!("{stem}_s.wasm"))
}
