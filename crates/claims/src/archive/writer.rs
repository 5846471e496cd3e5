//! Writing an archive: claims first, headers without owner, mode or time, so that equal content gives equal bytes.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Archive, ArchiveError, CLAIMS_ENTRY, check_target_name};

/// Renders the archive, gzipped if `compress`.
///
/// # Errors
/// When a target has no usable name.
pub fn write(archive: &Archive, compress: bool) -> Result<Vec<u8>, ArchiveError> {
    for target in archive.targets.keys() {
        check_target_name(target)?;
    }
    let rendered = if compress {
        let encoder = GzEncoder::new(Vec::new(), Compression::default());
        tar(archive, encoder).and_then(GzEncoder::finish)
    } else {
        tar(archive, Vec::new())
    };
    rendered.map_err(ArchiveError::Unreadable)
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
