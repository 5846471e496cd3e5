//! Taking the one file out of the layers of an image.

use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tar::EntryType;

use super::ImageError;
use crate::text::excerpt;

const WASM_MAGIC: &[u8] = b"\0asm";
const GZIP_MAGIC: &[u8] = &[0x1F, 0x8B];

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
    let mut search = Search { limits, left: limits.unpacked_bytes, entries: 0, found: None };
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

struct Search {
    limits: Limits,
    left: u64,
    entries: usize,
    found: Option<WasmFile>,
}

impl Search {
    fn layer(&mut self, stream: impl Read) -> Result<(), ImageError> {
        let mut bounded = Bounded { stream, left: self.left, exceeded: false };
        let result = self.read_entries(&mut bounded);
        self.left = bounded.left;
        // Running into the bound shows up as some error of the tar format; this is the reason behind it.
        if bounded.exceeded { Err(ImageError::TooLarge { limit: self.limits.unpacked_bytes }) } else { result }
    }

    fn read_entries(&mut self, stream: &mut impl Read) -> Result<(), ImageError> {
        let mut tar = tar::Archive::new(stream);
        for entry in tar.entries().map_err(ImageError::Unreadable)? {
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(ImageError::TooManyEntries { limit: self.limits.entries });
            }
            self.take(entry.map_err(ImageError::Unreadable)?)?;
        }
        Ok(())
    }

    fn take(&mut self, entry: tar::Entry<'_, impl Read>) -> Result<(), ImageError> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = normalize(&name)?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory => return Ok(()),
            // Facts about other entries.
            EntryType::XGlobalHeader => return Ok(()),
            other => return Err(ImageError::NotAFile { name: excerpt(&name), kind: kind(other) }),
        }
        // A file called `/` has no name.
        if path.is_empty() {
            return Err(ImageError::BadName { name: excerpt(&name) });
        }
        if let Some(first) = &self.found {
            return Err(ImageError::TwoFiles { first: excerpt(&first.path), second: excerpt(&path) });
        }
        let size = entry.size();
        if size > self.limits.unpacked_bytes {
            return Err(ImageError::TooLarge { limit: self.limits.unpacked_bytes });
        }
        // What the header says is believed only as far as bytes are there.
        let mut entry = entry.take(size);
        let mut bytes = Vec::new();
        entry.by_ref().take(WASM_MAGIC.len() as u64).read_to_end(&mut bytes).map_err(ImageError::Unreadable)?;
        if bytes != WASM_MAGIC {
            return Err(ImageError::NotWasm { name: excerpt(&name) });
        }
        entry.read_to_end(&mut bytes).map_err(ImageError::Unreadable)?;
        if bytes.len() as u64 != size {
            return Err(ImageError::Unreadable(io::ErrorKind::UnexpectedEof.into()));
        }
        self.found = Some(WasmFile { path, bytes: bytes.into() });
        Ok(())
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
            self.exceeded = self.stream.read(&mut [0])? > 0;
            return if self.exceeded { Err(io::Error::other("bound reached")) } else { Ok(0) };
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.stream.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}
