//! Provider archives whose headers lie: how much memory reading them takes.
//!
//! The law: whatever an archive says of itself, reading it takes memory in proportion to what is there, and never more than
//! the bounds allow; writing a binary to a stream takes no memory for it at all.

use std::io;

use artifacts::image;
use claims::archive::{self, Limits};
use tar::{EntryType, Header};

use crate::allocation::peak_of;
use crate::entries;

const LIMITS: Limits = Limits { unpacked_bytes: 1 << 20, entries: 8 };
/// The window of the decompressor, a piece of a binary, and what describes a member.
const FIXED: usize = 256 << 10;
/// What a token of so many bytes takes while it is read: as text, as JSON, as claims, and once more in the archive.
const PER_BYTE: usize = 12;
/// No compression of this format packs more into a byte.
const RATIO: usize = 1032;

const KINDS: [EntryType; 8] = [
    EntryType::Regular,
    EntryType::Regular,
    EntryType::GNULongName,
    EntryType::GNULongLink,
    EntryType::XHeader,
    EntryType::XGlobalHeader,
    EntryType::GNUSparse,
    EntryType::Directory,
];

/// The input as an archive, and as a list of entries whose headers say how long they are; plain and compressed.
pub fn archive_memory(data: &[u8]) {
    check(data);
    let stream = lying(data);
    check(&stream);
    check(&entries::gzip(&stream));
}

/// Reads `kind, name, size, length, content` as often as the input has it: the size is what the header says, however much
/// follows.
fn lying(data: &[u8]) -> Vec<u8> {
    let mut input = data.iter().copied();
    let mut stream = Vec::new();
    while let Some(choice) = input.next() {
        let mut header = Header::new_gnu();
        header.set_entry_type(KINDS[usize::from(choice) % KINDS.len()]);
        let name = [&[b'a' + input.next().unwrap_or(0) % 26], b".bin".as_slice()].concat();
        header.as_mut_bytes()[..name.len()].copy_from_slice(&name);
        let size = 1u64.checked_shl(u32::from(input.next().unwrap_or(0) % 40)).unwrap_or(0);
        header.set_size(size + u64::from(input.next().unwrap_or(0)));
        header.set_cksum();
        let length = usize::from(input.next().unwrap_or(0)) * 8;
        stream.extend_from_slice(header.as_bytes());
        stream.extend(input.by_ref().take(length));
        stream.resize(stream.len().next_multiple_of(512), 0);
    }
    stream
}

fn check(data: &[u8]) {
    let there = if data.starts_with(&[0x1F, 0x8B]) { data.len().saturating_mul(RATIO) } else { data.len() };
    let there = there.min(LIMITS.unpacked_bytes as usize);
    let most = FIXED + PER_BYTE * there;

    let (_, peak) = peak_of(|| {
        archive::extract_target(data, "a", LIMITS, &|_| true, &mut io::sink()).map_err(|error| error.code())
    });
    assert!(peak <= most, "writing a binary to a stream took {peak} bytes for {} of input", data.len());
    let (_, peak) = peak_of(|| archive::check_from(data, LIMITS).map_err(|error| error.code()));
    assert!(peak <= most, "checking took {peak} bytes for {} of input", data.len());
    let (_, peak) = peak_of(|| archive::read_with(data, LIMITS).map_err(|error| error.code()));
    assert!(peak <= most + LIMITS.unpacked_bytes as usize, "reading took {peak} bytes for {} of input", data.len());

    let limits = image::Limits { unpacked_bytes: LIMITS.unpacked_bytes, entries: LIMITS.entries };
    let (_, peak) = peak_of(|| image::extract_wasm_file([data], limits, &mut io::sink()).map_err(|error| error.code()));
    assert!(peak <= FIXED, "an image took {peak} bytes for {} of input", data.len());
}
