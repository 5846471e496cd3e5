//! Taking the one file out of the layers of an image.

use std::io::{self, BufRead, BufReader, Read, Write};

use bytes::Bytes;
use claims::members::{self, Member, MembersError, Walked};
use flate2::read::MultiGzDecoder;
use tar::EntryType;

use super::ImageError;
use crate::text::excerpt;

const WASM_MAGIC: &[u8] = b"\0asm";
const GZIP_MAGIC: &[u8] = &[0x1F, 0x8B];
const CHUNK: usize = 64 << 10;

/// How much of an image is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all layers after decompression, tar headers included.
    pub unpacked_bytes: u64,
    /// Entries of all layers.
    pub entries: usize,
}

impl Default for Limits {
    /// 256 MiB, and 64 entries: one file and the directories above it.
    fn default() -> Self {
        Self { unpacked_bytes: 256 << 20, entries: 64 }
    }
}

/// The content of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasmFile {
    /// Where it is in the image, without `/` at the beginning.
    pub path: String,
    /// What it holds.
    pub bytes: Bytes,
}

/// The wasm file in `layers`, each a tar stream, gzipped or not, when it is the only file. Directories may be there too.
///
/// # Errors
/// [`ImageError`] when there is no such file, or more than it, or a layer goes beyond `limits`.
pub fn single_wasm_file<R: Read>(layers: impl IntoIterator<Item = R>, limits: Limits) -> Result<WasmFile, ImageError> {
    let mut bytes = Vec::new();
    let path = extract_wasm_file(layers, limits, &mut bytes)?;
    Ok(WasmFile { path, bytes: bytes.into() })
}

/// As [`single_wasm_file`], but writes it to `out` while it streams by and returns where it is in the image. What was
/// written counts only when this succeeds.
///
/// # Errors
/// As [`single_wasm_file`], and [`ImageError::Unwritable`] for an error of `out`.
pub fn extract_wasm_file<R: Read>(
    layers: impl IntoIterator<Item = R>,
    limits: Limits,
    out: &mut dyn Write,
) -> Result<String, ImageError> {
    let mut search = Search { limits, walked: Walked::default(), found: None, out };
    for layer in layers {
        let mut layer = BufReader::new(layer);
        // By its first bytes: media types were seen to say otherwise.
        if layer.fill_buf().map_err(ImageError::Unreadable)?.starts_with(GZIP_MAGIC) {
            search.layer(MultiGzDecoder::new(layer))?;
        } else {
            search.layer(layer)?;
        }
    }
    search.found.ok_or(ImageError::NoWasm)
}

struct Search<'a> {
    limits: Limits,
    /// How much of all layers was looked at.
    walked: Walked,
    found: Option<String>,
    out: &'a mut dyn Write,
}

impl Search<'_> {
    fn layer(&mut self, stream: impl Read) -> Result<(), ImageError> {
        let left = members::Limits {
            unpacked_bytes: self.limits.unpacked_bytes - self.walked.bytes,
            entries: self.limits.entries - self.walked.members,
        };
        let walked = members::walk(stream, left, |member| self.take(member));
        let walked = walked.map_err(|error: ImageError| self.of_all_layers(error))?;
        self.walked.bytes += walked.bytes;
        self.walked.members += walked.members;
        Ok(())
    }

    /// Bounds are those of all layers together.
    fn of_all_layers(&self, error: ImageError) -> ImageError {
        match error {
            ImageError::TooLarge { limit } if limit != members::MAX_EXTENSION => {
                ImageError::TooLarge { limit: self.limits.unpacked_bytes }
            }
            ImageError::TooManyEntries { .. } => ImageError::TooManyEntries { limit: self.limits.entries },
            other => other,
        }
    }

    fn take(&mut self, member: Member<'_>) -> Result<(), ImageError> {
        let name = String::from_utf8_lossy(&member.path).into_owned();
        let path = normalize(&name)?;
        match member.kind {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory => return Ok(()),
            other => return Err(ImageError::NotAFile { name: excerpt(&name), kind: kind(other) }),
        }
        // A file called `/` has no name.
        if path.is_empty() {
            return Err(ImageError::BadName { name: excerpt(&name) });
        }
        if let Some(first) = &self.found {
            return Err(ImageError::TwoFiles { first: excerpt(first), second: excerpt(&path) });
        }
        let mut magic = Vec::with_capacity(WASM_MAGIC.len());
        let mut content = member.content.take(member.size);
        content.by_ref().take(WASM_MAGIC.len() as u64).read_to_end(&mut magic).map_err(ImageError::Unreadable)?;
        if magic != WASM_MAGIC {
            return Err(ImageError::NotWasm { name: excerpt(&name) });
        }
        self.out.write_all(&magic).map_err(ImageError::Unwritable)?;
        copy(&mut content, self.out)?;
        // What the header says is believed only as far as bytes are there.
        if content.limit() > 0 {
            return Err(ImageError::Unreadable(io::ErrorKind::UnexpectedEof.into()));
        }
        self.found = Some(path);
        Ok(())
    }
}

/// Copies, telling an error of one side from one of the other.
fn copy(content: &mut impl Read, out: &mut dyn Write) -> Result<(), ImageError> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match content.read(&mut chunk).map_err(ImageError::Unreadable)? {
            0 => return Ok(()),
            count => out.write_all(&chunk[..count]).map_err(ImageError::Unwritable)?,
        }
    }
}

impl From<MembersError> for ImageError {
    fn from(error: MembersError) -> Self {
        match error {
            MembersError::Unreadable(source) => Self::Unreadable(source),
            MembersError::TooLarge { limit } => Self::TooLarge { limit },
            MembersError::TooMany { limit } => Self::TooManyEntries { limit },
            MembersError::Sparse { number } => {
                Self::NotAFile { name: format!("member {number}"), kind: kind(EntryType::GNUSparse) }
            }
        }
    }
}

/// The path without what means nothing; paths that leave the image are refused.
fn normalize(name: &str) -> Result<String, ImageError> {
    if name.contains(['\\', '\0']) || name.split('/').any(|part| part == "..") {
        return Err(ImageError::BadName { name: excerpt(name) });
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    Ok(parts.join("/"))
}

fn kind(entry: EntryType) -> &'static str {
    match entry {
        EntryType::Symlink => "symbolic link",
        EntryType::Link => "hard link",
        EntryType::Char | EntryType::Block => "device",
        EntryType::Fifo => "named pipe",
        EntryType::GNUSparse => "sparse file",
        _ => "special entry",
    }
}
