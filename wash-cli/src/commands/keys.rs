//! `wash keys`: make keys, bring keys along, and show what is in the key directory.

use std::path::PathBuf;

use claims::{KeyKind, KeyPair};
use clap::{Args, Subcommand};

use crate::{
    context::Context,
    failure::Result,
    keystore::{self, KeyStore},
    output::Output,
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
        seed: Option<String>,
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
    }
}

impl PlaceArgs {
    fn store(self, context: &Context) -> KeyStore {
        KeyStore::new(self.directory.unwrap_or_else(|| context.home.keys()), false)
    }
}
