//! Reading an archive somebody else made, within bounds.
//!
//! Binaries are hashed while they stream by, and kept only when wanted, in memory or in a stream of the caller's. Claims
//! that come first, as every writer puts them, are judged before anything behind them is unpacked. Invariants: at most
//! [`Limits::unpacked_bytes`] are taken out of the compressed stream, however it was made, and at most
//! [`MAX_UNSIGNED_BYTES`] before there are claims that hold; no error quotes an archive whose claims do not hold.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use data_encoding::HEXUPPER;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::{Archive, ArchiveError, check_target_name};
use crate::id::AccountId;
use crate::jwt::{MAX_TOKEN, excerpt};
use crate::members::{Member, MembersError, walk};
use crate::metadata::ProviderMetadata;
use crate::token::{Claims, TokenError};

pub use crate::members::Limits;

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// Largest binary of one target, bytes.
pub const MAX_BINARY: u64 = 256 << 20;
/// How far into an archive its claims may be, bytes after decompression.
pub const MAX_UNSIGNED_BYTES: u64 = 64 << 20;
/// Room made for a binary on the word of its header, which is within the bounds. Larger ones make more as they come.
const MAX_RESERVED: u64 = 32 << 20;
const CHUNK: usize = 64 << 10;

impl Default for Limits {
    /// One GiB and 64 entries: twice the targets anybody builds for, at sizes of real providers.
    fn default() -> Self {
        Self { unpacked_bytes: 1 << 30, entries: 64 }
    }
}

/// Reads an archive, gzipped or not, with all its binaries. Signature and hashes are checked; the times are not.
///
/// # Errors
/// When the archive is damaged, exceeds the default [`Limits`], or is not what its claims say.
pub fn read(archive: &[u8]) -> Result<Archive, ArchiveError> {
    read_with(archive, Limits::default())
}

/// As [`read`], with other limits.
///
/// # Errors
/// As [`read`].
pub fn read_with(archive: &[u8], limits: Limits) -> Result<Archive, ArchiveError> {
    read_from(archive, limits)
}

/// As [`read_with`], but takes the archive as a stream, so that its packed form is never in memory as a whole.
///
/// # Errors
/// As [`read`]; an error of the stream is [`ArchiveError::Unreadable`].
pub fn read_from(stream: impl Read, limits: Limits) -> Result<Archive, ArchiveError> {
    unpack(stream, limits, Content::keeping(Keep::All))
}

/// As [`read_with`], but keeps only the binary for `target`; those for other targets are checked and dropped. For running
/// the provider, not for writing the archive again.
///
/// # Errors
/// As [`read`], and [`ArchiveError::NoSuchTarget`] when there is no binary for `target`.
pub fn read_target(archive: &[u8], target: &str, limits: Limits) -> Result<Archive, ArchiveError> {
    read_target_from(archive, target, limits)
}

/// As [`read_target`], from a stream.
///
/// # Errors
/// As [`read_target`]; an error of the stream is [`ArchiveError::Unreadable`].
pub fn read_target_from(stream: impl Read, target: &str, limits: Limits) -> Result<Archive, ArchiveError> {
    unpack(stream, limits, Content::keeping(Keep::Only(target)))
}

/// Checks an archive and keeps none of its binaries, only their targets: takes little memory, whatever the archive holds.
///
/// # Errors
/// As [`read_from`].
pub fn check_from(stream: impl Read, limits: Limits) -> Result<(Archive, Vec<String>), ArchiveError> {
    let mut content = Content::keeping(Keep::Nothing);
    content.walk(stream, limits)?;
    let targets = content.hashes.keys().cloned().collect();
    Ok((content.finish()?, targets))
}

/// As [`check_from`], but writes the binary for `target` to `out` while it streams by. `is_trusted` is asked about the
/// issuer as soon as the claims hold, so that nothing of a stranger is unpacked whose claims come first. What was written
/// counts only when this succeeds.
///
/// # Errors
/// As [`read_target_from`]; [`ArchiveError::UntrustedIssuer`]; [`ArchiveError::Unwritable`] for an error of `out`.
pub fn extract_target(
    stream: impl Read,
    target: &str,
    limits: Limits,
    is_trusted: &dyn Fn(&AccountId) -> bool,
    out: &mut dyn Write,
) -> Result<Archive, ArchiveError> {
    let content = Content { is_trusted, ..Content::keeping(Keep::Into(target, out)) };
    unpack(stream, limits, content)
}

fn unpack(stream: impl Read, limits: Limits, mut content: Content<'_>) -> Result<Archive, ArchiveError> {
    content.walk(stream, limits)?;
    content.finish()
}

/// Which binaries are kept, and where.
enum Keep<'a> {
    All,
    Only(&'a str),
    Into(&'a str, &'a mut dyn Write),
    Nothing,
}

impl Keep<'_> {
    /// The target that must be there.
    fn target(&self) -> Option<&str> {
        match self {
            Self::Only(target) | Self::Into(target, _) => Some(target),
            Self::All | Self::Nothing => None,
        }
    }

    fn in_memory(&self, target: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => *only == target,
            Self::Into(..) | Self::Nothing => false,
        }
    }
}

/// What the entries hold.
struct Content<'a> {
    keep: Keep<'a>,
    is_trusted: &'a dyn Fn(&AccountId) -> bool,
    /// The token, and the claims in it, which hold.
    signed: Option<(String, Claims<ProviderMetadata>)>,
    hashes: BTreeMap<String, String>,
    kept: BTreeMap<String, Vec<u8>>,
    chunk: Vec<u8>,
}

impl<'a> Content<'a> {
    fn keeping(keep: Keep<'a>) -> Self {
        let (hashes, kept) = Default::default();
        Self { keep, is_trusted: &|_| true, signed: None, hashes, kept, chunk: vec![0; CHUNK] }
    }

    /// Takes in all entries.
    fn walk(&mut self, mut stream: impl Read, limits: Limits) -> Result<(), ArchiveError> {
        let mut start = Vec::with_capacity(GZIP_MAGIC.len());
        stream.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start).map_err(ArchiveError::Unreadable)?;
        let is_gzipped = start == GZIP_MAGIC;
        let whole = Uninterrupted(Cursor::new(start).chain(stream));
        let visit = |member: Member<'_>| self.take(member);
        if is_gzipped { walk(GzDecoder::new(whole), limits, visit) } else { walk(whole, limits, visit) }.map(drop)
    }

    fn take(&mut self, member: Member<'_>) -> Result<(), ArchiveError> {
        let entry = member.number;
        let path = String::from_utf8_lossy(&member.path).into_owned();
        let stem = stem(&path).ok_or(ArchiveError::BadEntry { entry })?;
        match member.kind {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory => return Ok(()),
            _ => return Err(ArchiveError::NotAFile { entry }),
        }
        if stem == "claims" {
            return self.take_claims(member);
        }
        check_target_name(stem).map_err(|_| ArchiveError::BadEntry { entry })?;
        if self.hashes.contains_key(stem) {
            return Err(ArchiveError::Duplicate { entry });
        }
        self.take_binary(stem, member)
    }

    fn take_claims(&mut self, member: Member<'_>) -> Result<(), ArchiveError> {
        if self.signed.is_some() {
            return Err(ArchiveError::Duplicate { entry: member.number });
        }
        let mut token = Vec::new();
        member.content.take(MAX_TOKEN as u64 + 1).read_to_end(&mut token).map_err(ArchiveError::Unreadable)?;
        let token = String::from_utf8(token).map_err(|_| ArchiveError::ClaimsNotText)?;
        let claims = Claims::<ProviderMetadata>::verify_signature(&token)?;
        if claims.metadata.is_none() {
            return Err(TokenError::NoMetadata.into());
        }
        if let Ok(issuer) = AccountId::try_from(claims.issuer)
            && !(self.is_trusted)(&issuer)
        {
            return Err(ArchiveError::UntrustedIssuer { subject: excerpt(&claims.subject), issuer: Box::new(issuer) });
        }
        self.signed = Some((token, claims));
        Ok(())
    }

    fn take_binary(&mut self, target: &str, member: Member<'_>) -> Result<(), ArchiveError> {
        if member.size > MAX_BINARY {
            return Err(ArchiveError::TooLarge { limit: MAX_BINARY });
        }
        match &self.signed {
            Some(_) => drop(self.signed_hash(target)?),
            None if member.offset.saturating_add(member.size) > MAX_UNSIGNED_BYTES => {
                return Err(ArchiveError::ClaimsTooLate { limit: MAX_UNSIGNED_BYTES });
            }
            None => {}
        }
        let keeps = self.keep.in_memory(target);
        let room = if keeps { member.size.min(MAX_RESERVED) } else { 0 };
        let mut binary = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        let sink: Option<&mut dyn Write> = match &mut self.keep {
            Keep::Into(only, out) if *only == target => Some(&mut **out),
            _ if keeps => Some(&mut binary),
            _ => None,
        };
        let hash = hash_entry(member, &mut self.chunk, sink)?;
        self.hashes.insert(target.to_owned(), hash);
        if keeps {
            self.kept.insert(target.to_owned(), binary);
        }
        if self.signed.is_some() { self.check_hash(target) } else { Ok(()) }
    }

    fn signed_hash(&self, target: &str) -> Result<&str, ArchiveError> {
        let metadata = self.signed.as_ref().and_then(|(_, claims)| claims.metadata.as_ref());
        let signed = metadata.and_then(|metadata| metadata.target_hashes.get(target));
        signed.map(String::as_str).ok_or_else(|| ArchiveError::Unlisted { target: target.to_owned() })
    }

    fn check_hash(&self, target: &str) -> Result<(), ArchiveError> {
        let (signed, found) = (self.signed_hash(target)?, &self.hashes[target]);
        if signed == found {
            return Ok(());
        }
        let (target, found) = (target.to_owned(), found.clone());
        Err(ArchiveError::HashMismatch { target, signed: excerpt(signed), found })
    }

    fn finish(mut self) -> Result<Archive, ArchiveError> {
        let (token, claims) = self.signed.clone().ok_or(ArchiveError::Unsigned)?;
        let archive = Archive::assemble(token, claims, std::mem::take(&mut self.kept))?;
        if self.hashes.is_empty() {
            return Err(ArchiveError::NoTargets);
        }
        if let Some(target) = self.keep.target().filter(|target| !self.hashes.contains_key(*target)) {
            let available = self.hashes.keys().cloned().collect();
            return Err(ArchiveError::NoSuchTarget { target: target.to_owned(), available });
        }
        // Those that came before the claims were not compared yet.
        self.hashes.keys().try_for_each(|target| self.check_hash(target))?;
        Ok(archive)
    }
}

/// The last part of the path up to its last dot. Paths that leave the archive have none.
fn stem(path: &str) -> Option<&str> {
    if path.starts_with('/') || path.contains(['\\', '\0']) || path.split('/').any(|part| part == "..") {
        return None;
    }
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    Some(name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(name, |(stem, _)| stem))
}

/// Hashes the content of a member, and passes it on if wanted.
fn hash_entry(member: Member<'_>, chunk: &mut [u8], mut sink: Option<&mut dyn Write>) -> Result<String, ArchiveError> {
    let mut hasher = Sha256::new();
    let mut left = member.size;
    while left > 0 {
        let count = member.content.read(chunk).map_err(ArchiveError::Unreadable)?;
        if count == 0 {
            let reason = format!("it ends in the middle of entry {}", member.number);
            return Err(ArchiveError::Unreadable(io::Error::new(io::ErrorKind::UnexpectedEof, reason)));
        }
        left = left.saturating_sub(count as u64);
        hasher.update(&chunk[..count]);
        if let Some(sink) = &mut sink {
            sink.write_all(&chunk[..count]).map_err(ArchiveError::Unwritable)?;
        }
    }
    Ok(HEXUPPER.encode(&hasher.finalize()))
}

/// Reads again where a signal interrupted: not every reader of a format does.
struct Uninterrupted<R>(R);

impl<R: Read> Read for Uninterrupted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl From<MembersError> for ArchiveError {
    fn from(error: MembersError) -> Self {
        match error {
            MembersError::Unreadable(source) => Self::Unreadable(source),
            MembersError::TooLarge { limit } => Self::TooLarge { limit },
            MembersError::TooMany { limit } => Self::TooManyEntries { limit },
            MembersError::Sparse { number } => Self::Sparse { entry: number },
        }
    }
}
