//! `wash claims token`: signed claims by themselves, outside any artifact.

use claims::{AccountMetadata, Claims, KeyKind, KeyPair, Metadata, OperatorMetadata, ProviderMetadata, PublicKey};
use clap::{Args, Subcommand};

use super::actor_claims::ActorClaimsArgs;
use crate::{
    context::Context,
    keys::{
        keystore,
        signing::{DEFAULT_REVISION, DEFAULT_VERSION, KeyArgs, ValidityArgs, now},
    },
    terminal::{
        failure::{OrFail, Result},
        output::Output,
    },
};

/// `wash claims token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Token about an actor, signed by an account
    ///
    /// Example: wash claims token actor --name echo -q
    Actor(ActorArgs),
    /// Token about a provider, signed by an account
    Provider(ProviderArgs),
    /// Token about an account, signed by an operator
    Account(SignersArgs),
    /// Token about an operator, signed by itself
    Operator(OperatorArgs),
}

/// What every token has.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// Name; also that of the key file when a key is looked up or made
    #[arg(short = 'n', long)]
    name: String,
    #[command(flatten)]
    validity: ValidityArgs,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Options of `wash claims token actor`.
#[derive(Debug, Args)]
pub struct ActorArgs {
    /// Revision, a number that grows
    #[arg(short = 'r', long, alias = "revision", default_value_t = DEFAULT_REVISION)]
    rev: i32,
    /// Version
    #[arg(short = 'v', long, alias = "version", default_value = DEFAULT_VERSION)]
    ver: String,
    #[command(flatten)]
    actor: ActorClaimsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of `wash claims token provider`.
#[derive(Debug, Args)]
pub struct ProviderArgs {
    /// Contract it serves
    #[arg(short = 'c', long)]
    capid: String,
    /// Who made it
    #[arg(short = 'v', long)]
    vendor: String,
    /// Revision, a number that grows
    #[arg(short = 'r', long, alias = "rev", default_value_t = DEFAULT_REVISION)]
    revision: i32,
    /// Version
    #[arg(short = 'e', long, alias = "ver", default_value = DEFAULT_VERSION)]
    version: String,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of `wash claims token account`.
#[derive(Debug, Args)]
pub struct SignersArgs {
    /// Further key that may sign for it; repeatable
    #[arg(short = 'a', long = "additional-key", value_name = "KEY")]
    additional_keys: Vec<PublicKey>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of `wash claims token operator`.
#[derive(Debug, Args)]
pub struct OperatorArgs {
    /// Further key that may sign for it; repeatable
    #[arg(short = 'a', long = "additional-key", value_name = "KEY")]
    additional_keys: Vec<PublicKey>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs `wash claims token`.
///
/// # Errors
/// A key is missing or of the wrong kind.
pub fn run(command: TokenCommand, context: &Context) -> Result<Output> {
    match command {
        TokenCommand::Actor(args) => {
            let metadata = args.actor.metadata(args.common.name.clone(), args.rev, args.ver)?;
            let keys = args.common.keys(KeyKind::Account, KeyKind::Module, context)?;
            sign(&args.common, keys, metadata)
        }
        TokenCommand::Provider(args) => {
            let metadata = ProviderMetadata {
                name: Some(args.common.name.clone()),
                capid: args.capid,
                vendor: args.vendor,
                rev: Some(args.revision),
                ver: Some(args.version),
                ..ProviderMetadata::default()
            };
            let keys = args.common.keys(KeyKind::Account, KeyKind::Service, context)?;
            sign(&args.common, keys, metadata)
        }
        TokenCommand::Account(args) => {
            let metadata =
                AccountMetadata { name: Some(args.common.name.clone()), valid_signers: signers(&args.additional_keys) };
            let keys = args.common.keys(KeyKind::Operator, KeyKind::Account, context)?;
            sign(&args.common, keys, metadata)
        }
        TokenCommand::Operator(args) => {
            let metadata = OperatorMetadata {
                name: Some(args.common.name.clone()),
                valid_signers: signers(&args.additional_keys),
            };
            let store = args.common.keys.store(context);
            let given = args.common.keys.issuer.as_deref();
            let key = store.find_or_generate(given, KeyKind::Operator, &args.common.name, &context.printer)?;
            sign(&args.common, (key.clone(), key), metadata)
        }
    }
}

fn signers(keys: &[PublicKey]) -> Option<Vec<String>> {
    (!keys.is_empty()).then(|| keys.iter().map(ToString::to_string).collect())
}

impl CommonArgs {
    /// Issuer and subject.
    fn keys(&self, issuer: KeyKind, subject: KeyKind, context: &Context) -> Result<(KeyPair, KeyPair)> {
        let store = self.keys.store(context);
        let account = keystore::account_name();
        let printer = &context.printer;
        Ok((
            store.find_or_generate(self.keys.issuer.as_deref(), issuer, &account, printer)?,
            store.find_or_generate(self.keys.subject.as_deref(), subject, &self.name, printer)?,
        ))
    }
}

fn sign<M: Metadata + serde::Serialize>(
    common: &CommonArgs,
    (issuer, subject): (KeyPair, KeyPair),
    metadata: M,
) -> Result<Output> {
    let now = now();
    let mut claims = Claims::new(issuer.public(), subject.public().to_string(), metadata, now);
    claims.expires_at = common.validity.expires_at(now);
    claims.not_before = common.validity.not_before(now);
    let token = claims.sign(&issuer).while_doing(|| format!("cannot sign claims about `{}`", subject.public()))?;
    Ok(Output::text(token.clone()).with("token", token))
}
