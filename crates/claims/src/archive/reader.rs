//! Reading an archive somebody else made, within bounds.
//!
//! Binaries are hashed while they stream by, and kept only when wanted. Invariant: at most [`Limits::unpacked_bytes`]
//! are taken out of the compressed stream, however it was made.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use data_encoding::HEXUPPER;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::{Archive, ArchiveError, check_target_name};
use crate::jwt::{MAX_TOKEN, excerpt};
use crate::metadata::ProviderMetadata;
use crate::token::Claims;

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// Room made for a binary on the word of its header. Larger ones make more as they come.
const MAX_RESERVED: usize = 32 * 1024 * 1024;

/// How much of an archive is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after decompression, tar headers included.
    pub unpacked_bytes: u64,
    /// Entries of the archive.
    pub entries: usize,
}

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
    unpack(archive, limits, None)
}

/// As [`read_with`], but takes the archive as a stream, so that its packed form is never in memory as a whole.
///
/// # Errors
/// As [`read`]; an error of the stream is [`ArchiveError::Unreadable`].
pub fn read_from(stream: impl Read, limits: Limits) -> Result<Archive, ArchiveError> {
    unpack(stream, limits, None)
}

/// As [`read_with`], but keeps only the binary for `target`; those for other targets are checked and dropped. For running
/// the provider, not for writing the archive again.
///
/// # Errors
/// As [`read`], and [`ArchiveError::NoSuchTarget`] when there is no binary for `target`.
pub fn read_target(archive: &[u8], target: &str, limits: Limits) -> Result<Archive, ArchiveError> {
    unpack(archive, limits, Some(target))
}

/// As [`read_target`], from a stream.
///
/// # Errors
/// As [`read_target`]; an error of the stream is [`ArchiveError::Unreadable`].
pub fn read_target_from(stream: impl Read, target: &str, limits: Limits) -> Result<Archive, ArchiveError> {
    unpack(stream, limits, Some(target))
}

fn unpack(mut stream: impl Read, limits: Limits, only: Option<&str>) -> Result<Archive, ArchiveError> {
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    stream.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start).map_err(ArchiveError::Unreadable)?;
    let is_gzipped = start == GZIP_MAGIC;
    let whole = Uninterrupted(Cursor::new(start).chain(stream));
    let content = if is_gzipped {
        Content::read(GzDecoder::new(whole), limits, only)
    } else {
        Content::read(whole, limits, only)
    }?;
    content.check(only)
}

/// What the entries hold, before the claims are believed.
#[derive(Default)]
struct Content {
    token: Option<Vec<u8>>,
    hashes: BTreeMap<String, String>,
    kept: BTreeMap<String, Vec<u8>>,
}

impl Content {
    fn read(stream: impl Read, limits: Limits, only: Option<&str>) -> Result<Self, ArchiveError> {
        let too_large = ArchiveError::TooLarge { limit: limits.unpacked_bytes };
        let mut bounded = Bounded { stream, left: limits.unpacked_bytes, exceeded: false };
        let result = Self::read_entries(&mut bounded, limits, only);
        // Running into the bound shows up as some error of the tar format; this is the reason behind it.
        if bounded.exceeded { Err(too_large) } else { result }
    }

    fn read_entries(stream: impl Read, limits: Limits, only: Option<&str>) -> Result<Self, ArchiveError> {
        let mut content = Self::default();
        let mut tar = tar::Archive::new(stream);
        for (index, entry) in tar.entries().map_err(ArchiveError::Unreadable)?.enumerate() {
            if index >= limits.entries {
                return Err(ArchiveError::TooManyEntries { limit: limits.entries });
            }
            content.take(entry.map_err(ArchiveError::Unreadable)?, only)?;
        }
        Ok(content)
    }

    fn take(&mut self, mut entry: tar::Entry<'_, impl Read>, only: Option<&str>) -> Result<(), ArchiveError> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let stem = stem(&name)?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory => return Ok(()),
            EntryType::GNUSparse => return Err(ArchiveError::Sparse { name: excerpt(&name) }),
            _ => return Err(ArchiveError::NotAFile { name: excerpt(&name) }),
        }

        if stem == "claims" {
            if self.token.is_some() {
                return Err(ArchiveError::Duplicate { name: "claims".to_owned() });
            }
            let mut token = Vec::new();
            entry.take(MAX_TOKEN as u64 + 1).read_to_end(&mut token).map_err(ArchiveError::Unreadable)?;
            self.token = Some(token);
            return Ok(());
        }

        check_target_name(stem)?;
        if self.hashes.contains_key(stem) {
            return Err(ArchiveError::Duplicate { name: stem.to_owned() });
        }
        let keep = only.is_none_or(|only| only == stem);
        let (hash, binary) = hash_entry(&mut entry, keep).map_err(ArchiveError::Unreadable)?;
        self.hashes.insert(stem.to_owned(), hash);
        if keep {
            self.kept.insert(stem.to_owned(), binary);
        }
        Ok(())
    }

    fn check(self, only: Option<&str>) -> Result<Archive, ArchiveError> {
        let token = String::from_utf8(self.token.ok_or(ArchiveError::Unsigned)?);
        let token = token.map_err(|_| ArchiveError::ClaimsNotText)?;
        let claims = Claims::<ProviderMetadata>::verify_signature(&token)?;
        let archive = Archive::assemble(token, claims, self.kept)?;
        if self.hashes.is_empty() {
            return Err(ArchiveError::NoTargets);
        }
        if let Some(target) = only.filter(|only| !self.hashes.contains_key(*only)) {
            let available = self.hashes.into_keys().collect();
            return Err(ArchiveError::NoSuchTarget { target: target.to_owned(), available });
        }
        for (target, found) in self.hashes {
            let Some(signed) = archive.metadata().target_hashes.get(&target) else {
                return Err(ArchiveError::Unlisted { target });
            };
            if *signed != found {
                return Err(ArchiveError::HashMismatch { target, signed: excerpt(signed), found });
            }
        }
        Ok(archive)
    }
}

/// The last part of the path up to its last dot. Paths that leave the archive are refused.
fn stem(path: &str) -> Result<&str, ArchiveError> {
    let bad_name = || ArchiveError::BadName { name: excerpt(path) };
    if path.starts_with('/') || path.contains(['\\', '\0']) || path.split('/').any(|part| part == "..") {
        return Err(bad_name());
    }
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    Ok(name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(name, |(stem, _)| stem))
}

/// Hashes an entry, and keeps it if wanted. Its size is what the header says, so room is made at once, within reason.
fn hash_entry(stream: &mut tar::Entry<'_, impl Read>, keep: bool) -> io::Result<(String, Vec<u8>)> {
    let mut hasher = Sha256::new();
    let mut binary = Vec::new();
    if keep {
        binary.reserve_exact(usize::try_from(stream.size()).unwrap_or(usize::MAX).min(MAX_RESERVED));
    }
    let mut chunk = vec![0u8; 64 * 1024];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok((HEXUPPER.encode(&hasher.finalize()), binary));
        }
        hasher.update(&chunk[..count]);
        if keep {
            binary.extend_from_slice(&chunk[..count]);
        }
    }
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

/// Stops a stream at its bound, and remembers that it had more.
struct Bounded<R> {
    stream: R,
    left: u64,
    exceeded: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            // At the bound exactly is still within it.
            let more = self.stream.read(&mut [0])? > 0;
            self.exceeded = more;
            return if more { Err(io::Error::other("bound reached")) } else { Ok(0) };
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.stream.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}
