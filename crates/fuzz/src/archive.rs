//! Provider archives: any bytes, and tar streams built from the input whose claims fit.

use std::collections::BTreeMap;

use claims::archive::{self, Limits};
use claims::{Archive, ArchiveError, Claims, KeyKind, ProviderMetadata};
use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::{NOW, forge};

const LIMITS: Limits = Limits { unpacked_bytes: 1 << 20, entries: 8 };

/// Any bytes as an archive.
pub fn archive(data: &[u8]) {
    check(data);
}

/// The input as a list of entries: their headers have right checksums, and the claims name the binaries.
pub fn archive_entries(data: &[u8]) {
    let mut input = data.iter().copied();
    let mut tar = tar::Builder::new(Vec::new());
    let mut hashes = BTreeMap::new();
    while let Some(choice) = input.next() {
        let kind = KINDS[usize::from(choice) % KINDS.len()];
        let name = bytes(&mut input);
        let content = bytes(&mut input);
        let stem = String::from_utf8_lossy(&name).rsplit('/').next().unwrap_or_default().to_owned();
        let stem = stem.rsplit_once('.').map_or(stem.as_str(), |(stem, _)| stem).to_owned();
        hashes.insert(stem, HEXUPPER.encode(&Sha256::digest(&content)));
        // Writing to memory does not fail.
        let _ = tar.append(&header(kind, &name, content.len()), content.as_slice());
    }
    let account = forge::signer(KeyKind::Account);
    let provider = forge::signer(KeyKind::Service).public();
    let metadata = ProviderMetadata { target_hashes: hashes, ..ProviderMetadata::default() };
    let claims = Claims::new(account.public(), provider.as_str(), metadata, NOW);
    let token = claims.sign(&account).expect("an account signs providers");
    let _ = tar.append(&header(EntryType::Regular, b"claims.jwt", token.len()), token.as_bytes());
    if let Ok(stream) = tar.into_inner() {
        check(&stream);
    }
}

fn check(data: &[u8]) {
    let archive = match archive::read_with(data, LIMITS) {
        Ok(archive) => archive,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.code().is_empty());
            return;
        }
    };
    check_content(&archive);
    for compress in [false, true] {
        let written = archive::write(&archive, compress).expect("what was read can be written");
        let limits = Limits { unpacked_bytes: 2 << 20, ..LIMITS };
        assert_eq!(archive::read_with(&written, limits).expect("what we write reads"), archive);
    }
    for target in archive.targets.keys() {
        let one = archive::read_target(data, target, LIMITS).expect("a target that is there");
        assert_eq!(one.targets.get(target), archive.targets.get(target));
        assert_eq!(one.targets.len(), 1);
    }
    let absent = archive::read_target(data, "no-such", LIMITS);
    assert!(matches!(absent, Err(ArchiveError::NoSuchTarget { .. })) || archive.targets.contains_key("no-such"));
}

fn check_content(archive: &Archive) {
    assert!((1..LIMITS.entries).contains(&archive.targets.len()));
    for (target, binary) in &archive.targets {
        assert!(!target.contains(['/', '\\']) && !target.starts_with('.') && target != "claims", "{target}");
        let signed = archive.metadata().target_hashes.get(target);
        assert_eq!(signed, Some(&HEXUPPER.encode(&Sha256::digest(binary))), "{target}");
    }
}

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

fn header(kind: EntryType, name: &[u8], size: usize) -> Header {
    let mut header = if matches!(kind, EntryType::XHeader) { Header::new_ustar() } else { Header::new_gnu() };
    header.set_entry_type(kind);
    let name = &name[..name.len().min(100)];
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_size(size as u64);
    header.set_mode(0);
    header.set_cksum();
    header
}

fn bytes(input: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let length = usize::from(input.next().unwrap_or(0));
    input.take(length).collect()
}
