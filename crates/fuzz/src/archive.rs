//! Provider archives: any bytes, and tar streams built from the input whose claims fit.

use std::collections::BTreeMap;

use claims::archive::{self, Limits};
use claims::{Archive, ArchiveError, Claims, KeyKind, ProviderMetadata};
use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};
use tar::EntryType;

use crate::{NOW, entries, forge};

const LIMITS: Limits = Limits { unpacked_bytes: 1 << 20, entries: 8 };

/// Any bytes as an archive.
pub fn archive(data: &[u8]) {
    check(data);
}

/// The input as a list of entries: their headers have right checksums, and the claims name the binaries.
pub fn archive_entries(data: &[u8]) {
    let mut hashes = BTreeMap::new();
    let mut tar = entries::builder(data, |name, content| {
        let name = String::from_utf8_lossy(name);
        let name = name.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        hashes.insert(stem.to_owned(), HEXUPPER.encode(&Sha256::digest(content)));
    });
    let account = forge::signer(KeyKind::Account);
    let provider = forge::signer(KeyKind::Service).public();
    let metadata = ProviderMetadata { target_hashes: hashes, ..ProviderMetadata::default() };
    let claims = Claims::new(account.public(), provider.as_str(), metadata, NOW);
    let token = claims.sign(&account).expect("an account signs providers");
    entries::append(&mut tar, EntryType::Regular, b"claims.jwt", token.as_bytes());
    check(&tar.into_inner().expect("writing to memory does not fail"));
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
