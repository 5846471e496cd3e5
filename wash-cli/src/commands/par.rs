//! `wash par`: provider archives, which hold a provider's signed claims and its binaries.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use artifacts::{Format, NotAProgram, check_program};
use claims::{Claims, KeyKind, ProviderMetadata, archive};
use clap::{Args, Subcommand};

use crate::{
    commands::inspect::{self, InspectArgs},
    context::Context,
    keys::{
        keystore,
        signing::{DEFAULT_REVISION, DEFAULT_VERSION, KeyArgs, now},
    },
    machine::{files, given_file},
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// `wash par`.
#[derive(Debug, Subcommand)]
pub enum ParCommand {
    /// Make an archive from one binary
    ///
    /// Example: wash par create -c wasmcloud:keyvalue -v Acme -n "Acme KV" -b ./kv
    Create(Box<CreateArgs>),
    /// Add or replace the binary of one target
    Insert(Box<InsertArgs>),
    /// Show what an archive claims
    Inspect(Box<InspectArgs>),
}

/// Options of `wash par create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Contract it serves
    #[arg(short = 'c', long)]
    capid: String,
    /// Who made it
    #[arg(short = 'v', long)]
    vendor: String,
    /// Name
    #[arg(short = 'n', long)]
    name: String,
    /// Revision, a number that grows
    #[arg(short = 'r', long, alias = "rev", default_value_t = DEFAULT_REVISION)]
    revision: i32,
    /// Version
    #[arg(long, alias = "ver", default_value = DEFAULT_VERSION)]
    version: String,
    /// JSON schema of its link values
    #[arg(short = 'j', long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Target of the binary
    #[arg(short = 'a', long, default_value = "x86_64-linux")]
    arch: String,
    /// Binary
    #[arg(short = 'b', long, value_name = "FILE")]
    binary: PathBuf,
    /// Where the archive goes [default: `{name}.par` here]
    #[arg(long, value_name = "FILE")]
    destination: Option<PathBuf>,
    /// Compress it with gzip; adds `.gz` to the file name
    #[arg(long)]
    compress: bool,
    /// Short form of `--directory`
    #[arg(short = 'd', hide = true, id = "key_directory")]
    short_directory: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Options of `wash par insert`.
#[derive(Debug, Args)]
pub struct InsertArgs {
    /// Archive; rewritten in place
    archive: PathBuf,
    /// Target of the binary
    #[arg(short = 'a', long)]
    arch: String,
    /// Binary
    #[arg(short = 'b', long, value_name = "FILE")]
    binary: PathBuf,
    /// Short form of `--directory`
    #[arg(short = 'd', hide = true, id = "key_directory")]
    short_directory: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Runs `wash par`.
///
/// # Errors
/// A file or key is missing or unusable.
pub async fn run(command: ParCommand, context: &Context) -> Result<Output> {
    match command {
        ParCommand::Create(args) => create(*args, context),
        ParCommand::Insert(args) => insert(*args, context),
        ParCommand::Inspect(args) => inspect::run(&args, context).await,
    }
}

fn create(mut args: CreateArgs, context: &Context) -> Result<Output> {
    let binary = read_binary(&args.binary, &args.arch)?;
    let config_schema = args.schema.as_deref().map(read_schema).transpose()?;
    args.keys.directory = args.keys.directory.or(args.short_directory);
    let store = args.keys.store(context);
    let account = keystore::account_name();
    let printer = &context.printer;
    let issuer = store.find_or_generate(args.keys.issuer.as_deref(), KeyKind::Account, &account, printer)?;
    let subject = store.find_or_generate(args.keys.subject.as_deref(), KeyKind::Service, &args.name, printer)?;
    let metadata = ProviderMetadata {
        name: Some(args.name.clone()),
        capid: args.capid,
        vendor: args.vendor,
        rev: Some(args.revision),
        ver: Some(args.version),
        target_hashes: BTreeMap::new(),
        config_schema,
    };
    let claims = Claims::new(issuer.public(), subject.public().to_string(), metadata, now());
    let targets = BTreeMap::from([(args.arch.clone(), binary)]);
    let archive = archive::create(claims, targets, &issuer).while_doing(|| "cannot make the archive".to_owned())?;

    let named = args.destination.unwrap_or_else(|| PathBuf::from(format!("{}.par", args.name.replace('/', "_"))));
    let file = if args.compress { with_gz(named) } else { named };
    files::replace(&file, &archive::write(&archive, args.compress)?)?;
    Ok(Output::text(format!(
        "Wrote {}\n  provider  {} ({})\n  issuer    {}\n  targets   {}",
        file.display(),
        archive.id,
        args.name,
        archive.issuer,
        args.arch
    ))
    .with("file", file.to_string_lossy())
    .with("provider_id", archive.id.to_string()))
}

fn insert(mut args: InsertArgs, context: &Context) -> Result<Output> {
    let shown = args.archive.display().to_string();
    let bytes = given_file::read_artifact(&args.archive)?;
    let found = Format::of(&bytes);
    if !found.may_be_archive() {
        return Err(Failure::new(format!("`{shown}` is {found}, not a provider archive"))
            .hint("make an archive with `wash par create`"));
    }
    let compressed = found == Format::Gzip;
    let archive = archive::read(&bytes).while_doing(|| format!("`{shown}` is no provider archive"))?;
    let binary = read_binary(&args.binary, &args.arch)?;
    args.keys.directory = args.keys.directory.or(args.short_directory);
    let account = keystore::account_name();
    let store = args.keys.store(context);
    let given = args.keys.issuer.as_deref();
    let issuer = store.find_or_generate(given, KeyKind::Account, &account, &context.printer)?;
    let archive = archive::insert(archive, &args.arch, binary, &issuer, now())
        .while_doing(|| format!("cannot insert into `{shown}`"))?;
    files::replace(&args.archive, &archive::write(&archive, compressed)?)?;
    let targets: Vec<String> = archive.targets.keys().cloned().collect();
    Ok(Output::text(format!("Wrote {shown}\n  targets  {}", targets.join(", "))).with("file", shown))
}

/// The binary of one target, which has to be a program for it.
fn read_binary(path: &Path, target: &str) -> Result<Vec<u8>> {
    let binary = given_file::read(path, archive::MAX_BINARY)?;
    check_program(&binary, target).map_err(|error| {
        let hint = match &error {
            NotAProgram::OtherTarget { found } => {
                format!("name its target with `--arch {found}`, or give another file")
            }
            _ => "give the executable of the provider, or a script that begins with `#!`".to_owned(),
        };
        Failure::from(error)
            .while_doing(format!("`{}` is no provider binary for `{target}`", path.display()))
            .hint(hint)
    })?;
    Ok(binary)
}

fn read_schema(path: &Path) -> Result<serde_json::Value> {
    let text = given_file::read(path, given_file::MAX_TEXT)?;
    serde_json::from_slice(&text).while_doing(|| format!("the schema `{}` is no JSON", path.display()))
}

fn with_gz(path: PathBuf) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "gz") {
        return path;
    }
    let mut name = path.into_os_string();
    name.push(".gz");
    name.into()
}
