//! Signing test actors: right, and wrong in every way a host must notice.

use std::{
    fs,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use claims::{ActorId, ActorMetadata, Claims, KeyKind, KeyPair, ProviderId, ProviderMetadata, archive, wasm};
use tempfile::TempDir;

use crate::Actor;

/// Contract of the HTTP server.
pub const HTTPSERVER: &str = contracts::httpserver::CONTRACT;
/// Contract of key-value stores.
pub const KEYVALUE: &str = contracts::keyvalue::CONTRACT;

/// An account with a directory for what it signs.
pub struct Signer {
    account: KeyPair,
    dir: TempDir,
}

/// A signed file.
#[derive(Debug, Clone)]
pub struct Signed<Id> {
    /// Who it is.
    pub id: Id,
    /// Where it is.
    pub path: PathBuf,
}

impl<Id> Signed<Id> {
    /// As an operator refers to it.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::with(KeyPair::generate(KeyKind::Account))
    }
}

impl Signer {
    /// An account with this key.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[must_use]
    pub fn with(account: KeyPair) -> Self {
        Self { account, dir: tempfile::tempdir().expect("a directory") }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &KeyPair {
        &self.account
    }

    /// Its public key.
    #[must_use]
    pub fn account(&self) -> claims::AccountId {
        self.account.public().try_into().expect("an account key")
    }

    /// Signs an actor of this repository under a new id, with the HTTP server among its capabilities.
    #[must_use]
    pub fn actor(&self, actor: Actor) -> Signed<ActorId> {
        self.actor_with(actor, |_| {})
    }

    /// The same, with changes to what is signed.
    ///
    /// # Panics
    /// When it cannot be signed or written.
    #[must_use]
    pub fn actor_with(&self, actor: Actor, change: impl FnOnce(&mut Claims<ActorMetadata>)) -> Signed<ActorId> {
        self.sign(actor.name(), &actor.wasm(), change)
    }

    /// Signs any module or component as an actor, with the HTTP server among its capabilities.
    ///
    /// # Panics
    /// When it cannot be signed or written.
    #[must_use]
    pub fn wasm(&self, name: &str, wasm: &[u8]) -> Signed<ActorId> {
        self.wasm_with(name, wasm, |_| {})
    }

    /// The same, with changes to what is signed.
    ///
    /// # Panics
    /// When it cannot be signed or written.
    #[must_use]
    pub fn wasm_with(
        &self,
        name: &str,
        wasm: &[u8],
        change: impl FnOnce(&mut Claims<ActorMetadata>),
    ) -> Signed<ActorId> {
        self.sign(name, wasm, change)
    }

    fn sign(&self, name: &str, wasm: &[u8], change: impl FnOnce(&mut Claims<ActorMetadata>)) -> Signed<ActorId> {
        let subject = KeyPair::generate(KeyKind::Module).public();
        let metadata = ActorMetadata {
            name: Some(name.to_owned()),
            caps: Some(vec![HTTPSERVER.to_owned()]),
            ..ActorMetadata::default()
        };
        let mut claims = Claims::new(self.account.public(), subject.to_string(), metadata, now());
        change(&mut claims);
        let signed = wasm::sign_actor(wasm, claims, &self.account).expect("it can be signed");
        Signed { id: subject.try_into().expect("a module key"), path: self.write(&format!("{subject}.wasm"), &signed) }
    }

    /// Signs a program as a provider of `contract` for this machine.
    ///
    /// # Panics
    /// When it cannot be signed or written.
    #[must_use]
    pub fn provider(&self, program: &[u8], contract: &str) -> Signed<ProviderId> {
        let subject = KeyPair::generate(KeyKind::Service).public();
        self.provider_as(subject.try_into().expect("a provider key"), program, contract)
    }

    /// The same for a provider that there is, in the place of the archive it had.
    ///
    /// # Panics
    /// When it cannot be signed or written.
    #[must_use]
    pub fn provider_as(&self, subject: ProviderId, program: &[u8], contract: &str) -> Signed<ProviderId> {
        let metadata = ProviderMetadata {
            name: Some("a provider process".to_owned()),
            capid: contract.to_owned(),
            vendor: "tests".to_owned(),
            ..ProviderMetadata::default()
        };
        let claims = Claims::new(self.account.public(), subject.to_string(), metadata, now());
        let targets = [(archive::native_target(), program.to_vec())].into();
        let archive = archive::create(claims, targets, &self.account).expect("it can be signed");
        let bytes = archive::write(&archive, true).expect("it can be packed");
        Signed { id: archive.id, path: self.write(&format!("{subject}.par.gz"), &bytes) }
    }

    /// Writes a file into the directory.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).expect("a file can be written");
        path
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}
