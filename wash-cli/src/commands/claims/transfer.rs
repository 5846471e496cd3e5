//! `wash claims transfer`: an actor or provider belongs to another account from now on.
//!
//! Its owner signs that; an operator with the cluster key can do it without the owner, and says so with `--force`.

use std::ffi::OsString;

use claims::{AccountId, KeyKind, KeyPair, PublicKey, ownership::Transfer};
use clap::{Args, ValueEnum};
use lattice::client::ControlError;

use crate::{
    context::Context,
    keys::{
        keystore::{self, KeyStore},
        signing::cluster_key,
    },
    lattice::{
        connection::{Connection, ConnectionArgs},
        view::Lattice,
    },
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// What can be owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An actor
    #[value(alias = "module")]
    Actor,
    /// A provider
    #[value(alias = "service")]
    Provider,
}

/// Options of `wash claims transfer`.
#[derive(Debug, Args)]
pub struct TransferArgs {
    /// What is meant
    #[arg(value_enum)]
    kind: Kind,
    /// Which: id, beginning of one, or name
    id: String,
    /// Account that shall own it (`A…`)
    #[arg(long, value_name = "ACCOUNT")]
    to: AccountId,
    /// Take it away from its owner: signed with the cluster key instead of the owner's
    #[arg(long)]
    force: bool,
    /// Key that signs: a seed, or a file that holds one [default: this user's account key; with `--force` the cluster
    /// key of `wash up`]
    #[arg(long, env = "WASH_OWNER_KEY", value_name = "SEED|FILE", hide_env_values = true)]
    signer: Option<OsString>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash claims transfer`.
///
/// # Errors
/// There is no key to sign with, the id means nothing or too much, or the lattice does not take it.
pub async fn run(args: &TransferArgs, context: &Context) -> Result<Output> {
    let connection = args.connection.resolve(context)?;
    let key = signer(args, &connection, context)?;
    let lattice = Lattice::reach(connection, context).await?;
    let subject: PublicKey = match args.kind {
        Kind::Actor => lattice.actor(&args.id).await?.public_key(),
        Kind::Provider => lattice.provider(&args.id).await?.public_key(),
    };
    let name = lattice.connection.lattice.to_string();
    let transfer = Transfer { lattice: name.clone(), subject, to: args.to, at: now_ms() };
    let token = transfer.sign(&key).while_doing(|| "cannot sign the transfer".to_owned())?;
    lattice
        .reached
        .control
        .put_owner(&token)
        .await
        .map_err(explain)
        .while_doing(|| format!("lattice `{name}` does not take the transfer"))?;
    Ok(Output::text(format!(
        "`{subject}` belongs to {} now\n  signer  {}\nWhat runs goes on; what another account signed starts no more, also after a restart of its host.",
        args.to,
        key.public(),
    ))
    .with("subject", subject.to_string())
    .with("owner", args.to.to_string())
    .with("signer", key.public().to_string())
    .with("forced", args.force))
}

fn signer(args: &TransferArgs, connection: &Connection, context: &Context) -> Result<KeyPair> {
    let wanted = if args.force { KeyKind::Cluster } else { KeyKind::Account };
    if let Some(given) = &args.signer {
        let key = keystore::from_anywhere(Some(given))?;
        return match key.kind() == wanted {
            true => Ok(key),
            false if args.force => Err(Failure::usage(format!("the given key is one of kind `{}`", key.kind()))
                .hint("`--force` is signed with a cluster key that the hosts trust")),
            false => Err(Failure::usage(format!("the given key is one of kind `{}`", key.kind()))
                .hint("sign with the key of the account that owns it, or take it away with `--force`")),
        };
    }
    if args.force {
        return cluster_key(None, connection.cluster_seed.as_deref(), "transfer", context);
    }
    let (store, name) = (KeyStore::new(context.home.keys(), false), format!("{}_account", keystore::account_name()));
    store.existing(&name, KeyKind::Account)?.ok_or_else(|| {
        Failure::new(format!("no account key `{name}` in `{}`", store.directory().display()))
            .hint("name the key of the account that owns it with `--signer`, or take it away with `--force`")
    })
}

fn explain(error: ControlError) -> Failure {
    let nobody = matches!(error, ControlError::NoHost { .. });
    let failure = Failure::from(error);
    if nobody {
        return failure.hint("hosts of other makers know no owners: at least one host of ours must run");
    }
    failure
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
