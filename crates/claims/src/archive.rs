//! Provider archives: one signed token and one binary per target, in a tar stream, optionally gzipped.
//!
//! Knows bytes, not files. Archives come from strangers, so sizes are bounded before anything is kept. Invariant: an
//! [`Archive`] that was read or created here has a valid signature, and every binary in it has the hash its claims name.

mod reader;
mod writer;

use std::collections::BTreeMap;
use std::io;

pub use reader::{
    Limits, MAX_BINARY, MAX_UNSIGNED_BYTES, check_from, extract_target, read, read_from, read_target, read_target_from,
    read_with,
};
pub use writer::{write, write_to};

use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};

use crate::id::{AccountId, ProviderId};
use crate::key::KeyPair;
use crate::metadata::ProviderMetadata;
use crate::revocation::Sha256 as Sha256Digest;
use crate::token::{Claims, REVISION, TokenError, new_token_id};

/// Name of the entry that holds the token.
const CLAIMS_ENTRY: &str = "claims.jwt";

/// A provider: claims and binaries.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    /// The token as stored.
    pub token: String,
    /// What it says. Its signature was checked, its times were not: see [`Archive::check_times`].
    pub claims: Claims<ProviderMetadata>,
    /// Who the provider is.
    pub id: ProviderId,
    /// Who signed it.
    pub issuer: AccountId,
    /// Binaries by target, such as `x86_64-linux`.
    pub targets: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Checks that the claims hold at `now`; to be called before the provider is run.
    ///
    /// # Errors
    /// When their time is over or has not come.
    pub fn check_times(&self, now: u64) -> Result<(), ArchiveError> {
        Ok(self.claims.check_times(now)?)
    }

    /// What the claims say about the provider.
    pub fn metadata(&self) -> &ProviderMetadata {
        self.claims.metadata.as_ref().expect("an archive without metadata is refused when it is read")
    }

    /// The digests of the binaries that its claims name, whatever archive or signature they come in: by these a
    /// revocation knows it again.
    pub fn programs(&self) -> Vec<Sha256Digest> {
        self.metadata().target_hashes.values().filter_map(|hash| Sha256Digest::from_hex(hash)).collect()
    }

    fn assemble(
        token: String,
        claims: Claims<ProviderMetadata>,
        targets: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, ArchiveError> {
        if claims.metadata.is_none() {
            return Err(TokenError::NoMetadata.into());
        }
        let id = claims.subject.parse().expect("verified claims about a provider name a provider");
        let issuer = claims.issuer.try_into().expect("verified claims about a provider are signed by an account");
        Ok(Self { token, claims, id, issuer, targets })
    }
}

/// Signs binaries as one provider: fills in their hashes and the current revision.
///
/// # Errors
/// When there is no binary, a target has no usable name, or `issuer` is not the account the claims name.
pub fn create(
    mut claims: Claims<ProviderMetadata>,
    targets: BTreeMap<String, Vec<u8>>,
    issuer: &KeyPair,
) -> Result<Archive, ArchiveError> {
    if targets.is_empty() {
        return Err(ArchiveError::NoTargets);
    }
    for target in targets.keys() {
        check_target_name(target)?;
    }
    claims.metadata.get_or_insert_default().target_hashes =
        targets.iter().map(|(target, binary)| (target.clone(), hash(binary))).collect();
    claims.wascap_revision = Some(REVISION);
    let token = claims.sign(issuer)?;
    Archive::assemble(token, claims, targets)
}

/// Adds or replaces one binary and signs again, with a fresh id and time; everything else the claims say stays.
///
/// # Errors
/// When the target has no usable name, or `issuer` is not an account.
pub fn insert(
    archive: Archive,
    target: &str,
    binary: Vec<u8>,
    issuer: &KeyPair,
    now: u64,
) -> Result<Archive, ArchiveError> {
    let Archive { mut claims, mut targets, .. } = archive;
    claims.id = new_token_id();
    claims.issued_at = now;
    claims.issuer = issuer.public();
    targets.insert(target.to_owned(), binary);
    create(claims, targets, issuer)
}

/// The target this program was built for, in the words of archives: `x86_64-linux`.
pub fn native_target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

fn hash(binary: &[u8]) -> String {
    HEXUPPER.encode(&Sha256::digest(binary))
}

/// Target names become names of files, so they are kept plain.
fn check_target_name(target: &str) -> Result<(), ArchiveError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let named = (1..=64).contains(&target.len()) && target.bytes().all(plain) && !target.starts_with('.');
    if named && target != "claims" { Ok(()) } else { Err(ArchiveError::BadName { name: crate::jwt::excerpt(target) }) }
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Neither tar nor gzipped tar, or damaged.
    #[error("the archive cannot be read")]
    Unreadable(#[source] io::Error),
    /// It could not be written where it should go.
    #[error("the archive cannot be written")]
    Unwritable(#[source] io::Error),
    /// Unpacks to more than allowed.
    #[error("the archive unpacks to more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// Too many entries.
    #[error("the archive has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: usize,
    },
    /// A target that cannot become the name of an entry.
    #[error("`{name}` is not a name for an entry of a provider archive")]
    BadName {
        /// The name.
        name: String,
    },
    // What is read may be any file of this machine, and errors travel: entries are told by their number, not by name.
    /// An entry whose name leaves the archive or is no plain name.
    #[error("entry {entry} of the archive has a name that no entry of a provider archive has")]
    BadEntry {
        /// Which, counted from 1.
        entry: usize,
    },
    /// A link, device or anything else that is not a file.
    #[error("entry {entry} of the archive is not a plain file")]
    NotAFile {
        /// Which, counted from 1.
        entry: usize,
    },
    /// A file of which the archive holds only a part, the rest being zeroes.
    #[error("entry {entry} of the archive is a sparse file, expected a plain one")]
    Sparse {
        /// Which, counted from 1.
        entry: usize,
    },
    /// Two entries for the same thing.
    #[error("entry {entry} of the archive is for the same target as an earlier one, or the second one with claims")]
    Duplicate {
        /// The second one, counted from 1.
        entry: usize,
    },
    /// No token where one must be.
    #[error("the archive has no `claims.jwt` in its first {limit} bytes: put it first, as `wash par create` does")]
    ClaimsTooLate {
        /// How far they are looked for.
        limit: u64,
    },
    /// The claims hold, but are by somebody whose providers are not wanted.
    #[error("`{subject}` is signed by `{issuer}`, which is not trusted here")]
    UntrustedIssuer {
        /// The provider.
        subject: String,
        /// Who signed it.
        issuer: Box<AccountId>,
    },
    /// No token.
    #[error("the archive is not signed: it has no `claims.jwt`; make one with `wash par create`")]
    Unsigned,
    /// No binary.
    #[error("the archive has no binary for any target")]
    NoTargets,
    /// No binary for the target asked for.
    #[error("the archive has no binary for `{target}`, only for `{}`: add one with `wash par insert`", available.join("`, `"))]
    NoSuchTarget {
        /// What was asked for.
        target: String,
        /// What there is.
        available: Vec<String>,
    },
    /// The token is not text.
    #[error("`claims.jwt` in the archive does not hold text")]
    ClaimsNotText,
    /// The claims do not hold.
    #[error("the claims of the provider do not hold")]
    Token(#[from] TokenError),
    /// A binary the claims do not mention.
    #[error("the claims do not mention the binary for `{target}`")]
    Unlisted {
        /// Its target.
        target: String,
    },
    /// A binary other than the one that was signed.
    #[error("the binary for `{target}` was changed after signing (signed `{signed}`, found `{found}`)")]
    HashMismatch {
        /// Its target.
        target: String,
        /// The hash in the claims.
        signed: String,
        /// The hash of the binary.
        found: String,
    },
}

impl ArchiveError {
    /// Stable word for logs, tests and replies; that of the token where it is at fault.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "archive_unreadable",
            Self::Unwritable(_) => "archive_unwritable",
            Self::TooLarge { .. } => "archive_too_large",
            Self::TooManyEntries { .. } => "archive_too_many_entries",
            Self::BadName { .. } | Self::BadEntry { .. } => "archive_bad_name",
            Self::NotAFile { .. } => "archive_not_a_file",
            Self::Sparse { .. } => "archive_sparse",
            Self::Duplicate { .. } => "archive_duplicate",
            Self::ClaimsTooLate { .. } => "archive_claims_too_late",
            Self::UntrustedIssuer { .. } => "untrusted_issuer",
            Self::Unsigned => "unsigned",
            Self::NoTargets => "no_targets",
            Self::NoSuchTarget { .. } => "no_such_target",
            Self::ClaimsNotText => "claims_not_text",
            Self::Token(source) => source.code(),
            Self::Unlisted { .. } => "unlisted_target",
            Self::HashMismatch { .. } => "hash_mismatch",
        }
    }
}
