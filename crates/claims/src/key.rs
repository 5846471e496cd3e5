//! Key pairs of every principal of a lattice, in the nkeys text form.
//!
//! Knows Ed25519 and the text form; refuses to know files and where keys live. Invariants: a [`PublicKey`] is always
//! well formed (alphabet, length, checksum, kind), and private bytes never reach `Debug` or `Display`.

mod nkey;

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// A host (`N…`).
    Server,
    /// An actor (`M…`).
    Module,
    /// A provider (`V…`).
    Service,
    /// An account, which signs actors and providers (`A…`).
    Account,
    /// An operator, which signs accounts (`O…`).
    Operator,
    /// A cluster key, which signs invocations (`C…`).
    Cluster,
    /// A NATS user (`U…`).
    User,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Server, Self::Module, Self::Service, Self::Account, Self::Operator, Self::Cluster, Self::User];

    pub(crate) const fn prefix(self) -> u8 {
        match self {
            Self::Server => 13 << 3,
            Self::Module => 12 << 3,
            Self::Service => 21 << 3,
            Self::Account => 0,
            Self::Operator => 14 << 3,
            Self::Cluster => 2 << 3,
            Self::User => 20 << 3,
        }
    }

    pub(crate) fn from_prefix(prefix: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix() == prefix)
    }

    /// First letter of public keys of this kind.
    pub const fn letter(self) -> char {
        match self {
            Self::Server => 'N',
            Self::Module => 'M',
            Self::Service => 'V',
            Self::Account => 'A',
            Self::Operator => 'O',
            Self::Cluster => 'C',
            Self::User => 'U',
        }
    }

    /// The word of the lattice for it: `host`, `actor`, `provider`, `account`, `operator`, `cluster`, `user`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "host",
            Self::Module => "actor",
            Self::Service => "provider",
            Self::Account => "account",
            Self::Operator => "operator",
            Self::Cluster => "cluster",
            Self::User => "user",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyKind {
    type Err = KeyError;

    /// Accepts the words of [`KeyKind::name`] and those of nkeys (`server`, `module`, `service`), in any case.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.to_ascii_lowercase().as_str() {
            "host" | "server" => Ok(Self::Server),
            "actor" | "module" => Ok(Self::Module),
            "provider" | "service" => Ok(Self::Service),
            "account" => Ok(Self::Account),
            "operator" => Ok(Self::Operator),
            "cluster" => Ok(Self::Cluster),
            "user" => Ok(Self::User),
            _ => Err(KeyError::UnknownKind { text: text.to_owned() }),
        }
    }
}

/// Why a text is not the key it should be, or a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Too short or too long.
    #[error("a key of this kind has {expected} characters, this text has {found}")]
    Length {
        /// Characters it should have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// Not upper-case base32, or not the canonical text of its bytes.
    #[error("the key contains characters that are not base32 (`A` to `Z`, `2` to `7`)")]
    Alphabet,
    /// The checksum does not fit.
    #[error("the checksum of the key does not match: it was mistyped or cut")]
    Checksum,
    /// The first letter stands for no principal of a lattice.
    #[error("the prefix of the key names no known kind")]
    Prefix,
    /// A seed was wanted.
    #[error("this is not a seed: seeds start with `S`")]
    NotASeed,
    /// A valid key of another kind.
    #[error("`{key}` is a key of kind `{found}`, expected `{expected}` (`{}…`)", expected.letter())]
    WrongKind {
        /// The key.
        key: PublicKey,
        /// The kind wanted.
        expected: KeyKind,
        /// Its kind.
        found: KeyKind,
    },
    /// Not the name of a kind.
    #[error("`{text}` is no kind of key: use account, actor, provider, host, operator, cluster or user")]
    UnknownKind {
        /// What was written.
        text: String,
    },
    /// The bytes are not a point of the curve; nothing can ever have been signed with it.
    #[error("`{key}` is not a point of the curve")]
    NotAPoint {
        /// The key.
        key: PublicKey,
    },
    /// Signatures have 64 bytes.
    #[error("a signature has 64 bytes, this one has {found}")]
    SignatureLength {
        /// Bytes found.
        found: usize,
    },
    /// The signature was not made by this key over these bytes.
    #[error("the signature does not match")]
    SignatureInvalid,
}

impl KeyError {
    /// Stable word for logs, tests and replies.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } => "key_length",
            Self::Alphabet => "key_alphabet",
            Self::Checksum => "key_checksum",
            Self::Prefix => "key_prefix",
            Self::NotASeed => "not_a_seed",
            Self::WrongKind { .. } => "wrong_key_kind",
            Self::UnknownKind { .. } => "unknown_key_kind",
            Self::NotAPoint { .. } => "not_a_point",
            Self::SignatureLength { .. } => "signature_length",
            Self::SignatureInvalid => "signature_invalid",
        }
    }
}

/// The public half of a key: 56 characters, always well formed.
///
/// Well formed says nothing about the curve: [`PublicKey::verify`] finds out whether the bytes are a point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; nkey::PUBLIC_TEXT]);

impl PublicKey {
    /// Renders raw key bytes as a key of `kind`.
    pub fn from_raw(kind: KeyKind, key: [u8; 32]) -> Self {
        Self(nkey::encode_public(kind, &key))
    }

    /// The text, 56 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base32 is ASCII")
    }

    /// What the key stands for.
    pub fn kind(&self) -> KeyKind {
        let letter = char::from(self.0[0]);
        KeyKind::ALL.into_iter().find(|kind| kind.letter() == letter).expect("the prefix was validated")
    }

    /// The 32 raw bytes.
    pub fn to_raw(&self) -> [u8; 32] {
        nkey::raw_public(&self.0)
    }

    /// The point of the curve, ready to verify with.
    pub(crate) fn point(&self) -> Result<VerifyingKey, KeyError> {
        VerifyingKey::from_bytes(&self.to_raw()).map_err(|_| KeyError::NotAPoint { key: *self })
    }

    /// Checks that `signature` was made by this key over `message`.
    ///
    /// # Errors
    /// When the signature is not 64 bytes, the key is no point of the curve, or the signature does not hold (also for
    /// the weak keys and malleable forms that plain Ed25519 would let pass).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let signature =
            Signature::from_slice(signature).map_err(|_| KeyError::SignatureLength { found: signature.len() })?;
        self.point()?.verify_strict(message, &signature).map_err(|_| KeyError::SignatureInvalid)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        nkey::decode_public(text)?;
        let mut inline = [0u8; nkey::PUBLIC_TEXT];
        inline.copy_from_slice(text.as_bytes());
        Ok(Self(inline))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for PublicKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText(std::marker::PhantomData))
    }
}

/// Deserializes anything that parses from a text.
pub(crate) struct FromText<T>(pub(crate) std::marker::PhantomData<T>);

impl<T: FromStr<Err = KeyError>> de::Visitor<'_> for FromText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a public key")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// A key with its private half.
#[derive(Clone)]
pub struct KeyPair {
    public: PublicKey,
    // Wipes itself when dropped.
    signing: SigningKey,
}

impl KeyPair {
    /// Makes a new key from the randomness of the operating system.
    pub fn generate(kind: KeyKind) -> Self {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(seed.as_mut_slice()).expect("the operating system provides randomness");
        Self::from_raw_seed(kind, &seed)
    }

    /// Takes a seed in its text form (`S…`, 58 characters).
    ///
    /// # Errors
    /// When the text is not a seed of a known kind.
    pub fn from_seed(text: &str) -> Result<Self, KeyError> {
        let (kind, seed) = nkey::decode_seed(text)?;
        Ok(Self::from_raw_seed(kind, &seed))
    }

    /// Takes the 32 private bytes.
    pub fn from_raw_seed(kind: KeyKind, seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = PublicKey::from_raw(kind, signing.verifying_key().to_bytes());
        Self { public, signing }
    }

    /// What the key stands for.
    pub fn kind(&self) -> KeyKind {
        self.public.kind()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The private half as text.
    pub fn seed(&self) -> Seed {
        Seed(nkey::encode_seed(self.kind(), self.signing.as_bytes()))
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// A secret that only the holders of the two keys can compute (X25519 over the same scalar and point that Ed25519
    /// has). None when the other key is no point of the curve, or one of small order.
    pub fn agree(&self, other: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
        let scalar = Zeroizing::new(self.signing.to_scalar_bytes());
        let shared = Zeroizing::new(other.point().ok()?.to_montgomery().mul_clamped(*scalar).to_bytes());
        (shared.iter().fold(0, |all, byte| all | byte) != 0).then_some(shared)
    }

    /// Private and public bytes, for the token signer.
    pub(crate) fn to_keypair_bytes(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.signing.to_keypair_bytes())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).field("seed", &"[redacted]").finish()
    }
}

/// The private half of a key as text; wiped when dropped.
#[derive(Clone)]
pub struct Seed(Zeroizing<String>);

impl Seed {
    /// The text. Every call of this is a place where a secret leaves.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
