//! Tokens, as they come and as JSON that is signed here, read as claims of every kind.

use std::fmt::Debug;

use claims::{
    AccountMetadata, ActorMetadata, Claims, ClusterMetadata, InvocationMetadata, KeyPair, Metadata, OperatorMetadata,
    ProviderMetadata, subject_kind,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{NOW, forge};

/// Any text as a token.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    every_kind(text, None);
}

/// Any JSON as claims, correctly signed by the key that it may name as issuer.
pub fn claims_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let signer = forge::signer_named_in(text);
    every_kind(&forge::token(data, &signer), Some(&signer));
}

fn every_kind(token: &str, signer: Option<&KeyPair>) {
    let kinds = [
        check::<ActorMetadata>(token, signer),
        check::<ProviderMetadata>(token, signer),
        check::<AccountMetadata>(token, signer),
        check::<OperatorMetadata>(token, signer),
        check::<ClusterMetadata>(token, signer),
        check::<InvocationMetadata>(token, signer),
    ];
    let accepted = kinds.iter().filter(|accepted| **accepted).count();
    // An invocation may be about anything, but it is signed by a cluster key, and those sign nothing else.
    assert!(accepted <= 1, "one token is claims of {accepted} kinds");
    if kinds[..5].contains(&true) {
        assert!(subject_kind(token).is_ok_and(|kind| kind.is_some()));
    }
}

/// Checks the laws of one kind; answers whether the token verifies as claims of this kind, its times aside.
fn check<M>(token: &str, signer: Option<&KeyPair>) -> bool
where
    M: Metadata + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let inspection = Claims::<M>::inspect(token, NOW);
    let verified = Claims::<M>::verify_signature(token);
    let Ok(inspection) = inspection else {
        assert!(verified.is_err(), "verified, but cannot be shown: {token}");
        return false;
    };
    let Ok(claims) = verified else { return false };
    assert!(inspection.signature_valid);
    assert_eq!(inspection.claims, claims);
    let in_time = !inspection.expired && !inspection.not_yet_valid;
    assert_eq!(Claims::<M>::verify(token, NOW).is_ok(), in_time);
    assert_eq!(claims.check_times(NOW).is_ok(), in_time);
    if let Some(signer) = signer {
        let again = claims.sign(signer).expect("claims that verified can be signed again");
        assert_eq!(Claims::<M>::verify_signature(&again).expect("what we sign verifies"), claims);
    }
    true
}
