//! Tar streams built from an input: the headers have right checksums, which no fuzzer finds by chance.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

const KINDS: [EntryType; 12] = [
    EntryType::Regular,
    EntryType::Regular,
    EntryType::Regular,
    EntryType::Regular,
    EntryType::Directory,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::GNULongName,
    EntryType::GNULongLink,
    EntryType::GNUSparse,
    EntryType::XHeader,
    EntryType::XGlobalHeader,
];

/// Reads `kind, length, name, length, content` as often as the input has it. `seen` is told name and content.
pub(crate) fn tar(data: &[u8], seen: impl FnMut(&[u8], &[u8])) -> Vec<u8> {
    builder(data, seen).into_inner().expect("writing to memory does not fail")
}

/// As [`tar`], to be continued.
pub(crate) fn builder(data: &[u8], mut seen: impl FnMut(&[u8], &[u8])) -> tar::Builder<Vec<u8>> {
    let mut input = data.iter().copied();
    let mut tar = tar::Builder::new(Vec::new());
    while let Some(choice) = input.next() {
        let kind = KINDS[usize::from(choice) % KINDS.len()];
        let name = bytes(&mut input);
        let content = bytes(&mut input);
        seen(&name, &content);
        append(&mut tar, kind, &name, &content);
    }
    tar
}

/// Appends an entry as it is, however little sense it makes.
pub(crate) fn append(tar: &mut tar::Builder<Vec<u8>>, kind: EntryType, name: &[u8], content: &[u8]) {
    let mut header = if matches!(kind, EntryType::XHeader) { Header::new_ustar() } else { Header::new_gnu() };
    header.set_entry_type(kind);
    let name = &name[..name.len().min(100)];
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_size(content.len() as u64);
    header.set_mode(0);
    header.set_cksum();
    tar.append(&header, content).expect("writing to memory does not fail");
}

/// The stream compressed.
pub(crate) fn gzip(stream: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(stream).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

fn bytes(input: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let length = usize::from(input.next().unwrap_or(0));
    input.take(length).collect()
}
