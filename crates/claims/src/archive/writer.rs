//! Writing an archive: claims first, headers without owner, mode or time, so that equal content gives equal bytes.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Archive, ArchiveError, CLAIMS_ENTRY, check_target_name};

/// Renders the archive, gzipped if `compress`. [`write_to`] does without a copy of it in memory.
///
/// # Errors
/// When a target has no usable name.
pub fn write(archive: &Archive, compress: bool) -> Result<Vec<u8>, ArchiveError> {
    let mut rendered = Vec::new();
    write_to(archive, compress, &mut rendered)?;
    Ok(rendered)
}

/// Writes the archive piece by piece, gzipped if `compress`.
///
/// # Errors
/// When a target has no usable name, before anything is written; or when `out` fails.
pub fn write_to(archive: &Archive, compress: bool, out: impl Write) -> Result<(), ArchiveError> {
    for target in archive.targets.keys() {
        check_target_name(target)?;
    }
    let written = if compress {
        tar(archive, GzEncoder::new(out, Compression::default())).and_then(GzEncoder::finish)
    } else {
        tar(archive, out)
    };
    written.and_then(|mut out| out.flush()).map_err(ArchiveError::Unwritable)
}

fn tar<W: Write>(archive: &Archive, out: W) -> io::Result<W> {
    let mut tar = tar::Builder::new(out);
    append(&mut tar, CLAIMS_ENTRY, archive.token.as_bytes())?;
    for (target, binary) in &archive.targets {
        append(&mut tar, &format!("{target}.bin"), binary)?;
    }
    tar.into_inner()
}

fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, content)
}
