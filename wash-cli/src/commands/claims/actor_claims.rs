//! What an actor may use and how it is known, as the user says it: the same for `sign` and `token`.

use clap::Args;

use crate::terminal::failure::{Failure, Result};

/// What an actor may use and how it is known.
#[derive(Debug, Clone, Args)]
pub struct ActorClaimsArgs {
    /// Grant the key-value store (`wasmcloud:keyvalue`)
    #[arg(short = 'k', long)]
    keyvalue: bool,
    /// Grant messaging (`wasmcloud:messaging`)
    #[arg(short = 'g', long = "msg")]
    messaging: bool,
    /// Grant serving HTTP (`wasmcloud:httpserver`)
    #[arg(short = 'q', long = "http_server", alias = "http-server")]
    http_server: bool,
    /// Grant sending HTTP requests (`wasmcloud:httpclient`)
    #[arg(long = "http_client", alias = "http-client")]
    http_client: bool,
    /// Grant the blob store (`wasmcloud:blobstore`)
    #[arg(short = 'f', long = "blob_store", alias = "blob-store")]
    blob_store: bool,
    /// Grant random numbers and ids (`wasmcloud:builtin:numbergen`)
    #[arg(short = 'z', long = "numbergen", alias = "extras")]
    number_generation: bool,
    /// Grant logging (`wasmcloud:builtin:logging`)
    #[arg(short = 'l', long)]
    logging: bool,
    /// Grant event streams (`wasmcloud:eventstreams`)
    #[arg(short = 'e', long = "events")]
    event_streams: bool,
    /// Grant another contract; repeatable
    #[arg(short = 'c', long = "cap", value_name = "CONTRACT")]
    custom: Vec<String>,
    /// Tag; repeatable
    #[arg(short = 't', long = "tag")]
    tags: Vec<String>,
    /// Name by which other actors may call it: lower-case letters, digits, `_` and `/`
    #[arg(short = 'a', long)]
    call_alias: Option<String>,
}

/// A vendor and a capability, such as `wasmcloud:keyvalue`; the capability may have parts of its own.
fn is_contract(text: &str) -> bool {
    text.split(':').count() >= 2 && text.split(':').all(|part| !part.trim().is_empty())
}

impl ActorClaimsArgs {
    /// The contract ids granted, each once.
    fn contracts(&self) -> Vec<String> {
        let switches = [
            (self.keyvalue, "wasmcloud:keyvalue"),
            (self.messaging, "wasmcloud:messaging"),
            (self.http_server, "wasmcloud:httpserver"),
            (self.http_client, "wasmcloud:httpclient"),
            (self.blob_store, "wasmcloud:blobstore"),
            (self.number_generation, "wasmcloud:builtin:numbergen"),
            (self.logging, "wasmcloud:builtin:logging"),
            (self.event_streams, "wasmcloud:eventstreams"),
        ];
        let mut contracts: Vec<String> = Vec::new();
        let given =
            switches.iter().filter(|(on, _)| *on).map(|(_, id)| *id).chain(self.custom.iter().map(String::as_str));
        for id in given {
            if !contracts.iter().any(|known| known == id) {
                contracts.push(id.to_owned());
            }
        }
        contracts
    }

    /// The claims of these options. The hash is filled in when a binary is signed.
    ///
    /// # Errors
    /// A contract or the call alias is none.
    pub fn metadata(&self, name: String, revision: i32, version: String) -> Result<claims::ActorMetadata> {
        if let Some(wrong) = self
            .custom
            .iter()
            .find(|contract| contract.parse::<lattice::ContractId>().is_err() || !is_contract(contract))
        {
            return Err(Failure::usage(format!("`{wrong}` is no contract: it is written `vendor:capability`"))
                .hint("the known ones have switches of their own; see `wash claims sign --help`"));
        }
        if let Some(alias) = self.call_alias.as_deref().filter(|alias| !claims::is_call_alias(alias)) {
            return Err(Failure::usage(format!("`{alias}` is no call alias")).hint(format!(
                "use lower-case letters, digits, `_` and `/`: `{}`",
                claims::normalize_call_alias(alias)
            )));
        }
        Ok(claims::ActorMetadata {
            name: Some(name),
            hash: String::new(),
            tags: Some(self.tags.clone()),
            caps: Some(self.contracts()),
            rev: Some(revision),
            ver: Some(version),
            call_alias: self.call_alias.clone(),
            prov: false,
        })
    }
}
