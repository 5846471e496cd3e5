//! What happens when another part of the program took over `jsonwebtoken`. A process of its own, because it has one such
//! provider for all its life.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use claims::{ActorMetadata, Claims, TokenError};
use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};
use jsonwebtoken::errors::ErrorKind;

static FOREIGN: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    key_utils: KeyUtils::new_unimplemented(),
};

#[test]
fn a_foreign_provider_is_a_fault_of_the_program_not_of_the_token() {
    FOREIGN.install_default().unwrap();
    let error = common::actor_claims().sign(&common::account()).unwrap_err();
    assert!(matches!(error, TokenError::ForeignCryptography));
    let vectors = common::vector("jwt");
    let token = common::text(&vectors["actor"], "jwt");
    let error = Claims::<ActorMetadata>::verify(token, common::NOW).unwrap_err();
    assert_eq!(error.code(), "foreign_cryptography");
}
