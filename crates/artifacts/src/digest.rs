//! Digests: the name of some bytes that follows from the bytes.
//!
//! Only sha-256, which every registry speaks; any other algorithm is refused by name. Invariant: a [`Digest`] that was
//! parsed prints exactly as it was written.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// A sha-256 of some bytes, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    ///
    /// ```
    /// let digest = artifacts::Digest::of(b"");
    /// assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    /// assert_eq!(digest.to_string().parse(), Ok(digest));
    /// ```
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hexadecimal digits alone, as used in names of files.
    #[must_use]
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// From the hexadecimal digits alone.
    pub(crate) fn from_hex(hex: &str) -> Option<Self> {
        let bytes = (hex.len() == 64).then(|| HEXLOWER.decode(hex.as_bytes()).ok()).flatten()?;
        bytes.try_into().ok().map(Self)
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed { text: crate::text::excerpt(text) };
        let (algorithm, hex) = text.split_once(':').ok_or_else(malformed)?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm { algorithm: crate::text::excerpt(algorithm) });
        }
        Self::from_hex(hex).ok_or_else(malformed)
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Another algorithm than sha-256.
    #[error("digests by `{algorithm}` are not supported, only `sha256`")]
    Algorithm {
        /// Its name.
        algorithm: String,
    },
    /// Not `algorithm:digits`.
    #[error("`{text}` is not a digest; one is `sha256:` and 64 lower-case hexadecimal digits")]
    Malformed {
        /// What was there, shortened.
        text: String,
    },
}

impl DigestError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Algorithm { .. } => "digest_algorithm",
            Self::Malformed { .. } => "digest_malformed",
        }
    }
}

/// A digest in the making, for bytes that stream by.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sha256_in_lower_case_is_a_digest() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(format!("sha256:{hex}").parse::<Digest>(), Ok(Digest::of(b"")));
        let code = |text: &str| text.parse::<Digest>().map_err(|error| error.code());
        assert_eq!(code(&format!("sha512:{hex}{hex}")), Err("digest_algorithm"));
        assert_eq!(code(&format!("sha256:{}", hex.to_uppercase())), Err("digest_malformed"));
        assert_eq!(code(&format!("sha256:{}", &hex[1..])), Err("digest_malformed"));
        assert_eq!(code(&format!("sha256:{hex}0")), Err("digest_malformed"));
        assert_eq!(code(hex), Err("digest_malformed"));
        assert_eq!(code(""), Err("digest_malformed"));
    }

    #[test]
    fn what_streams_by_has_the_digest_of_the_whole() {
        let mut hasher = Hasher::default();
        b"abc".chunks(1).for_each(|chunk| hasher.update(chunk));
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }
}
