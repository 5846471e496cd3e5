//! The JWT envelope: three segments, our header, one signature.
//!
//! This is the only caller of `jsonwebtoken`. That crate knows the algorithm `EdDSA` but not the name `Ed25519` which
//! lattice tokens carry, so headers are written and read here, and only its signing and verifying entry points are used.
//! It wants a process-wide provider; ours takes raw keys and verifies strictly. Invariant: nobody outside this file sees
//! the `bool` which `jsonwebtoken` answers for a signature that does not hold as if it were a success.

use std::sync::OnceLock;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, VerifyingKey};
use jsonwebtoken::crypto::{self, CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::Deserialize;
use sha2::Sha512;

use crate::key::{KeyPair, PublicKey};
use crate::token_error::TokenError;

/// Tokens above this size are refused unread; the largest honest ones carry a provider's configuration schema.
pub(crate) const MAX_TOKEN: usize = 1024 * 1024;

/// `{"typ":"jwt","alg":"Ed25519"}` in base64url.
const HEADER: &str = "eyJ0eXAiOiJqd3QiLCJhbGciOiJFZDI1NTE5In0";

/// Names of the signature scheme in headers. Lattice peers write the first and take no other; the second is the name JOSE
/// registered for the same scheme.
const ALGORITHMS: [&str; 2] = ["Ed25519", "EdDSA"];

/// Encodes and signs `claims`.
pub(crate) fn sign(claims: &[u8], issuer: &KeyPair) -> Result<String, TokenError> {
    sign_within(claims, issuer, MAX_TOKEN)
}

/// As [`sign`], for a kind of token with a bound of its own.
pub(crate) fn sign_within(claims: &[u8], issuer: &KeyPair, limit: usize) -> Result<String, TokenError> {
    require_backend()?;
    let mut token = String::with_capacity(HEADER.len() + claims.len() * 4 / 3 + 96);
    token.push_str(HEADER);
    token.push('.');
    BASE64URL_NOPAD.encode_append(claims, &mut token);
    let key = EncodingKey::from_ed_der(issuer.to_keypair_bytes().as_slice());
    let signature =
        crypto::sign(token.as_bytes(), &key, Algorithm::EdDSA).map_err(|_| TokenError::ForeignCryptography)?;
    token.push('.');
    token.push_str(&signature);
    if token.len() > limit {
        return Err(TokenError::TooLarge { found: token.len(), limit });
    }
    Ok(token)
}

/// A token taken apart, its header accepted, its signature not yet checked.
pub(crate) struct Envelope<'a> {
    signed: &'a str,
    signature: &'a str,
    /// The claims as JSON.
    pub(crate) claims: Vec<u8>,
}

impl<'a> Envelope<'a> {
    /// Checks everything that needs no key: segments, encodings, header.
    pub(crate) fn open(token: &'a str) -> Result<Self, TokenError> {
        Self::open_within(token, MAX_TOKEN)
    }

    /// As [`Envelope::open`], for a kind of token with a bound of its own.
    pub(crate) fn open_within(token: &'a str, limit: usize) -> Result<Self, TokenError> {
        if token.len() > limit {
            return Err(TokenError::TooLarge { found: token.len(), limit });
        }
        let mut segments = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(TokenError::Segments { found: token.split('.').count() });
        };
        decode(signature, "signature")?;
        if header != HEADER {
            check_header(&decode(header, "header")?)?;
        }
        let signed = &token[..header.len() + 1 + claims.len()];
        Ok(Self { signed, signature, claims: decode(claims, "claims")? })
    }

    /// Whether `issuer` signed this token.
    pub(crate) fn is_signed_by(&self, issuer: &PublicKey) -> Result<bool, TokenError> {
        require_backend()?;
        let key = DecodingKey::from_ed_der(&issuer.to_raw());
        // The encodings were checked, so an error here says that the issuer is not a point of the curve.
        Ok(matches!(crypto::verify(self.signature, self.signed.as_bytes(), &key, Algorithm::EdDSA), Ok(true)))
    }
}

fn decode(segment: &str, part: &'static str) -> Result<Vec<u8>, TokenError> {
    BASE64URL_NOPAD.decode(segment.as_bytes()).map_err(|_| {
        let padded = segment.ends_with('=');
        if padded { TokenError::Padding { part } } else { TokenError::Encoding { part } }
    })
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    typ: String,
    #[serde(default)]
    alg: String,
}

/// The spelling or order of the members may differ from ours; their values may not.
fn check_header(json: &[u8]) -> Result<(), TokenError> {
    let header: Header = serde_json::from_slice(json).map_err(|source| TokenError::Json { part: "header", source })?;
    if !ALGORITHMS.contains(&header.alg.as_str()) {
        return Err(TokenError::WrongAlgorithm { found: excerpt(&header.alg) });
    }
    if header.typ != "jwt" {
        return Err(TokenError::WrongType { found: excerpt(&header.typ) });
    }
    Ok(())
}

/// What a stranger wrote, short enough and plain enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        shown.push('…');
    }
    shown
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        require_eddsa(algorithm)?;
        Ok(Box::new(TokenSigner::new(key.as_bytes()).ok_or(ErrorKind::InvalidEddsaKey)?))
    },
    verifier_factory: |algorithm, key| {
        require_eddsa(algorithm)?;
        let raw = key.try_get_as_bytes()?.try_into().map_err(|_| ErrorKind::InvalidEddsaKey)?;
        Ok(Box::new(TokenVerifier(VerifyingKey::from_bytes(raw).map_err(|_| ErrorKind::InvalidEddsaKey)?)))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs our provider once. Another one in its place would read our raw keys as something else, so it is an error.
fn require_backend() -> Result<(), TokenError> {
    static OURS: OnceLock<bool> = OnceLock::new();
    if *OURS.get_or_init(|| PROVIDER.install_default().is_ok()) { Ok(()) } else { Err(TokenError::ForeignCryptography) }
}

fn require_eddsa(algorithm: &Algorithm) -> jsonwebtoken::errors::Result<()> {
    if *algorithm == Algorithm::EdDSA { Ok(()) } else { Err(ErrorKind::InvalidAlgorithm.into()) }
}

/// Signs with a key whose public half is known: deriving it again from the seed would cost a second signature.
struct TokenSigner {
    secret: ExpandedSecretKey,
    public: VerifyingKey,
}

impl TokenSigner {
    /// Takes private and public bytes that belong together; [`KeyPair`] is the only source of them.
    fn new(pair: &[u8]) -> Option<Self> {
        let pair: &[u8; 64] = pair.try_into().ok()?;
        let (seed, public) = pair.split_at(32);
        Some(Self {
            secret: ExpandedSecretKey::from(<&[u8; 32]>::try_from(seed).ok()?),
            public: VerifyingKey::from_bytes(public.try_into().ok()?).ok()?,
        })
    }
}

impl Signer<Vec<u8>> for TokenSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(raw_sign::<Sha512>(&self.secret, message, &self.public).to_vec())
    }
}

impl JwtSigner for TokenSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct TokenVerifier(VerifyingKey);

impl Verifier<Vec<u8>> for TokenVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.0.verify_strict(message, &Signature::from_slice(signature)?)
    }
}

impl JwtVerifier for TokenVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_json_it_stands_for() {
        assert_eq!(HEADER, BASE64URL_NOPAD.encode(br#"{"typ":"jwt","alg":"Ed25519"}"#));
    }

    #[test]
    fn what_a_stranger_wrote_is_cut_and_escaped() {
        assert_eq!(excerpt("a\nb"), "a\\nb");
        assert_eq!(excerpt(&"x".repeat(65)), format!("{}…", "x".repeat(64)));
    }

    #[test]
    fn the_provider_refuses_other_algorithms_and_malformed_keys() {
        let key = EncodingKey::from_ed_der(&[0; 31]);
        assert!((PROVIDER.signer_factory)(&Algorithm::EdDSA, &key).is_err());
        assert!((PROVIDER.signer_factory)(&Algorithm::HS256, &key).is_err());
        let key = DecodingKey::from_ed_der(&[0; 31]);
        assert!((PROVIDER.verifier_factory)(&Algorithm::EdDSA, &key).is_err());
        assert!((PROVIDER.verifier_factory)(&Algorithm::HS256, &key).is_err());
    }
}
