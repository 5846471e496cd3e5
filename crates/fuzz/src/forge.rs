//! Signatures under anything, so that inputs get past the one check no fuzzer guesses.

use claims::{KeyKind, KeyPair};
use data_encoding::BASE64URL_NOPAD;

/// The key that signs inputs of its kind; seeds name it as issuer. One per kind: with the same private bytes the key of
/// one kind would sign for another.
pub(crate) fn signer(kind: KeyKind) -> KeyPair {
    KeyPair::from_raw_seed(kind, &[kind as u8 + 1; 32])
}

/// The signer whose public key occurs in the input, otherwise the account.
pub(crate) fn signer_named_in(text: &str) -> KeyPair {
    [KeyKind::Operator, KeyKind::Cluster, KeyKind::User]
        .into_iter()
        .map(signer)
        .find(|pair| text.contains(pair.public().as_str()))
        .unwrap_or_else(|| signer(KeyKind::Account))
}

/// A correctly signed token with these claims, whatever they are.
pub(crate) fn token(claims: &[u8], signer: &KeyPair) -> String {
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"jwt","alg":"Ed25519"}"#);
    let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(claims));
    let signature = BASE64URL_NOPAD.encode(&signer.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}
