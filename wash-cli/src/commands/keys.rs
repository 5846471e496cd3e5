//! `wash keys`: make keys, bring keys along, show what is in the key directory, and whose native code may run here.

use std::{ffi::OsString, path::PathBuf};

use claims::{AccountId, KeyKind, KeyPair};
use clap::{Args, Subcommand};

use crate::{
    context::Context,
    keys::{
        keystore::{self, KeyStore},
        trusted_issuers::TrustedIssuers,
    },
    terminal::{
        failure::Result,
        output::{Output, table},
    },
};

/// `wash keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and show it; nothing is stored
    ///
    /// Example: wash keys gen account
    Gen {
        /// account, user, actor (module), provider (service), host (server), operator or cluster
        #[arg(value_name = "KIND", value_parser = parse_kind)]
        kind: KeyKind,
    },
    /// Show the seed of a stored key
    Get {
        /// Name, as `wash keys list` shows it
        name: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List stored keys
    List(PlaceArgs),
    /// Store a key that was made elsewhere; one that is there already is never overwritten
    ///
    /// Signing looks for `$USER_account`, `NAME_module` and `NAME_service`; calls are signed with `cluster`.
    /// Example: wash keys import acme_account < acme.nk
    Import {
        /// Name to store it under, as `wash keys list` will show it
        name: String,
        /// Seed, or a file that holds one [default: standard input]
        #[arg(value_name = "SEED|FILE")]
        seed: Option<OsString>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Let an account's native code run on this user's hosts: providers are programs, which no sandbox holds
    ///
    /// Counts at once, also for hosts that run. Accounts whose keys are stored here need no trust. Without an account:
    /// lists who is trusted.
    /// Example: wash keys trust AC6G…
    Trust {
        /// Accounts (`A…`)
        #[arg(value_name = "ACCOUNT")]
        accounts: Vec<AccountId>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Take that trust back; what runs stays until it is stopped
    Untrust {
        /// Accounts (`A…`)
        #[arg(value_name = "ACCOUNT", required = true)]
        accounts: Vec<AccountId>,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Where stored keys are.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Key directory [default: ~/.wash/keys]
    #[arg(short = 'd', long, env = "WASH_KEYS", value_name = "DIR")]
    directory: Option<PathBuf>,
}

fn parse_kind(text: &str) -> Result<KeyKind, claims::KeyError> {
    text.parse()
}

/// Runs `wash keys`.
///
/// # Errors
/// The key directory cannot be read, or holds no such key.
pub fn run(command: KeysCommand, context: &Context) -> Result<Output> {
    match command {
        KeysCommand::Gen { kind } => {
            let key = KeyPair::generate(kind);
            let (public, seed) = (key.public().to_string(), key.seed());
            Ok(Output::text(format!("Public key: {public}\nSeed:       {}\n\nKeep the seed secret.", seed.expose()))
                .with("public_key", public)
                .with("seed", seed.expose()))
        }
        KeysCommand::Get { name, place } => {
            let key = place.store(context).by_name(&name)?;
            Ok(Output::text(key.seed().expose()).with("seed", key.seed().expose()))
        }
        KeysCommand::List(place) => {
            let store = place.store(context);
            let names: Vec<String> = store.names()?.into_iter().map(|name| format!("{name}.nk")).collect();
            let text = if names.is_empty() {
                format!("No keys in {}", store.directory().display())
            } else {
                format!("Keys in {}:\n  {}", store.directory().display(), names.join("\n  "))
            };
            Ok(Output::text(text).with("keys", names))
        }
        KeysCommand::Import { name, seed, place } => {
            let key = keystore::from_anywhere(seed.as_deref())?;
            let (path, new) = place.store(context).import(&name, &key)?;
            let (kind, public) = (key.kind().to_string(), key.public().to_string());
            let verb = if new { "Stored" } else { "Has been there already:" };
            Ok(Output::text(format!("{verb} {kind} key {public} in {}", path.display()))
                .with("public_key", public)
                .with("kind", kind)
                .with("file", path.to_string_lossy())
                .with("new", new))
        }
        KeysCommand::Trust { accounts, place } if accounts.is_empty() => {
            let (own, named) = (place.store(context).accounts(), place.trusted(context).named()?);
            let rows = own.iter().map(|id| (id, "own")).chain(named.iter().map(|id| (id, "named")));
            let rows: Vec<Vec<String>> = rows.map(|(id, how)| vec![id.to_string(), how.to_owned()]).collect();
            let texts = |ids: Vec<&AccountId>| ids.into_iter().map(ToString::to_string).collect::<Vec<_>>();
            let text = if rows.is_empty() {
                "No account is trusted with native code".to_owned()
            } else {
                table(&["Account", "Why"], rows)
            };
            Ok(Output::text(text).with("own", texts(own.iter().collect())).with("named", texts(named.iter().collect())))
        }
        KeysCommand::Trust { accounts, place } => change(&place.trusted(context), &accounts, true),
        KeysCommand::Untrust { accounts, place } => change(&place.trusted(context), &accounts, false),
    }
}

fn change(trusted: &TrustedIssuers, accounts: &[AccountId], trust: bool) -> Result<Output> {
    let mut text = if trust { "Trusted with native code:" } else { "No longer trusted with native code:" }.to_owned();
    let mut changed = Vec::new();
    for account in accounts {
        let is_new = trusted.change(*account, trust)?;
        let already = if trust { " (was already)" } else { " (was not)" };
        text.push_str(&format!("\n  {account}{}", if is_new { "" } else { already }));
        if is_new {
            changed.push(account.to_string());
        }
    }
    Ok(Output::text(text).with("changed", changed).with("trusted", trust))
}

impl PlaceArgs {
    fn store(&self, context: &Context) -> KeyStore {
        KeyStore::new(self.directory.clone().unwrap_or_else(|| context.home.keys()), false)
    }

    fn trusted(&self, context: &Context) -> TrustedIssuers {
        TrustedIssuers::beside(self.store(context))
    }
}
