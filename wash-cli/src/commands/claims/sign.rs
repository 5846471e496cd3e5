//! `wash claims sign`: puts signed claims into an actor's binary.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use claims::{Claims, KeyKind, wasm};
use clap::Args;

use super::{actor_claims::ActorClaimsArgs, imports};
use crate::{
    context::Context,
    keys::{
        keystore,
        signing::{DEFAULT_REVISION, DEFAULT_VERSION, KeyArgs, ValidityArgs, now},
    },
    machine::{files, given_file},
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
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
    let stem = match (stem(&args.wasm), &args.name) {
        (Some(stem), _) => stem,
        // The key is stored under a name as well.
        (None, Some(name)) => name.clone(),
        (None, None) => {
            return Err(Failure::usage(format!("`{shown}` has no file name in UTF-8 to take the actor's name from"))
                .hint("name the actor with `--name`"));
        }
    };
    let name = args.name.clone().unwrap_or_else(|| stem.clone());
    if name.trim().is_empty() {
        return Err(
            Failure::usage("an actor's name cannot be empty").hint("leave `--name` out to take that of the file")
        );
    }
    let metadata = args.actor.metadata(name.clone(), args.rev, args.ver.clone())?;
    let contracts = metadata.caps.clone().unwrap_or_default();
    doubts(args, &binary, &contracts).into_iter().for_each(|doubt| context.printer.note(format!("warning: {doubt}")));
    let destination = args.destination.clone().unwrap_or_else(|| default_destination(&args.wasm));

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

/// What is legal and hardly meant.
fn doubts(args: &SignArgs, binary: &[u8], granted: &[String]) -> Vec<String> {
    let mut doubts = Vec::new();
    if semver::Version::parse(&args.ver).is_err() {
        doubts.push(format!(
            "`{}` is no version such as 1.2.0; tools that compare versions will not understand it",
            args.ver
        ));
    }
    for (import, contract) in imports::not_granted(binary, granted) {
        doubts.push(format!(
            "it imports `{import}`, which `{contract}` grants: add `--cap {contract}`, or hosts refuse it"
        ));
    }
    doubts
}

fn stem(path: &Path) -> Option<String> {
    path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned)
}

/// Beside the file, whatever its name is made of.
fn default_destination(wasm: &Path) -> PathBuf {
    let mut name = wasm.file_stem().map(OsStr::to_owned).unwrap_or_default();
    name.push("_s.wasm");
    wasm.with_file_name(name)
}
