//! Provider archives against the golden vector, and every way an archive can be wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use claims::archive::{self, Limits};
use claims::{Archive, ArchiveError, Claims, ProviderMetadata, TokenError};
use common::{NOW, account, forge, key, provider_claims, text, vector};
use data_encoding::{BASE64, HEXUPPER};
use sha2::{Digest, Sha256};
use tar::EntryType;

const LIMITS: Limits = Limits { unpacked_bytes: 1 << 20, entries: 8 };

fn binaries(targets: &[&str]) -> BTreeMap<String, Vec<u8>> {
    targets.iter().map(|target| ((*target).to_owned(), format!("binary for {target}").into_bytes())).collect()
}

fn sample() -> Archive {
    archive::create(provider_claims(), binaries(&["x86_64-linux", "aarch64-linux"]), &account()).unwrap()
}

/// A tar stream of anything, without the checks of a decent writer.
fn tar_of(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn files(entries: &[(&str, &[u8])]) -> Vec<u8> {
    tar_of(&entries.iter().map(|(name, content)| (EntryType::Regular, *name, *content)).collect::<Vec<_>>())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn refusal(archive: &[u8]) -> ArchiveError {
    archive::read_with(archive, LIMITS).unwrap_err()
}

#[test]
fn the_golden_archive_reads_plain_and_compressed() {
    let vectors = vector("par");
    for form in ["tar_base64", "gzip_base64"] {
        let bytes = BASE64.decode(text(&vectors, form).as_bytes()).unwrap();
        if form == "tar_base64" {
            assert_eq!(HEXUPPER.encode(&Sha256::digest(&bytes)), text(&vectors, "tar_sha256"));
            assert_eq!(names(&bytes), serde_json::from_value::<Vec<String>>(vectors["entries"].clone()).unwrap());
        }
        let archive = archive::read(&bytes).unwrap();
        assert_eq!(archive.token, text(&vectors, "claims_jwt"));
        assert_eq!(archive.id.as_str(), archive.claims.subject);
        assert_eq!(archive.issuer.public_key(), archive.claims.issuer);
        let expected = vectors["binaries"].as_object().unwrap();
        assert_eq!(archive.targets.len(), expected.len());
        for (target, binary) in expected {
            assert_eq!(archive.targets[target], binary.as_str().unwrap().as_bytes());
        }
        // Written and read again it is the same.
        for compress in [false, true] {
            let again = archive::write(&archive, compress).unwrap();
            assert_eq!(again.starts_with(&[0x1F, 0x8B]), compress);
            assert_eq!(archive::read(&again).unwrap(), archive);
        }
    }
}

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn archives_are_written_as_the_protocol_says_and_always_the_same() {
    let bytes = archive::write(&sample(), false).unwrap();
    assert_eq!(bytes, archive::write(&sample_like(&bytes), false).unwrap());
    let mut names = Vec::new();
    for entry in tar::Archive::new(Cursor::new(&bytes)).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mode().unwrap(), header.mtime().unwrap()), (0, 0));
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.entry_type(), EntryType::Regular);
        names.push(String::from_utf8(entry.path_bytes().into_owned()).unwrap());
        entry.read_to_end(&mut Vec::new()).unwrap();
    }
    assert_eq!(names, ["claims.jwt", "aarch64-linux.bin", "x86_64-linux.bin"]);
}

fn sample_like(bytes: &[u8]) -> Archive {
    archive::read(bytes).unwrap()
}

#[test]
fn creating_fills_in_hashes_and_revision() {
    let mut claims = provider_claims();
    claims.wascap_revision = None;
    let archive = archive::create(claims, binaries(&["x86_64-linux"]), &account()).unwrap();
    assert_eq!(archive.claims.wascap_revision, Some(claims::REVISION));
    assert_eq!(archive.metadata().target_hashes.keys().collect::<Vec<_>>(), ["x86_64-linux"]);
    assert_eq!(archive.metadata().vendor, "acme");
    assert_eq!(Claims::<ProviderMetadata>::verify(&archive.token, NOW).unwrap(), archive.claims);
}

#[test]
fn inserting_signs_again_and_keeps_what_the_claims_say() {
    let before = sample();
    let after = archive::insert(before.clone(), "x86_64-macos", b"mac".to_vec(), &account(), NOW + 5).unwrap();
    assert_eq!(after.targets.len(), 3);
    assert_eq!(after.metadata().target_hashes.len(), 3);
    assert_eq!(after.metadata().capid, before.metadata().capid);
    assert_eq!((after.id, after.claims.issued_at), (before.id, NOW + 5));
    assert_ne!(after.claims.id, before.claims.id);
    assert_eq!(archive::read(&archive::write(&after, true).unwrap()).unwrap(), after);

    let replaced = archive::insert(after, "x86_64-macos", b"newer".to_vec(), &account(), NOW).unwrap();
    assert_eq!(replaced.targets["x86_64-macos"], b"newer");
    let error = archive::insert(replaced, "../x", Vec::new(), &account(), NOW).unwrap_err();
    assert!(matches!(error, ArchiveError::BadName { .. }));
}

#[test]
fn times_are_checked_when_asked_so_that_old_archives_can_be_shown() {
    let claims = Claims { expires_at: Some(NOW), ..provider_claims() };
    let archive = archive::create(claims, binaries(&["x86_64-linux"]), &account()).unwrap();
    let archive = archive::read(&archive::write(&archive, false).unwrap()).unwrap();
    assert!(archive.check_times(NOW).is_ok());
    assert_eq!(archive.check_times(NOW + 1).unwrap_err().code(), "expired");
}

#[test]
fn one_target_can_be_taken_out() {
    let bytes = archive::write(&sample(), true).unwrap();
    let one = archive::read_target(&bytes, "aarch64-linux", LIMITS).unwrap();
    assert_eq!(one.targets, binaries(&["aarch64-linux"]));
    let error = archive::read_target(&bytes, "arm-linux", LIMITS).unwrap_err();
    assert_eq!(error.code(), "no_such_target");
    let text = "the archive has no binary for `arm-linux`, only for `aarch64-linux`, `x86_64-linux`: \
                add one with `wash par insert`";
    assert_eq!(error.to_string(), text);

    // A binary that is not wanted is still checked.
    let token = sample().token;
    let tampered = files(&[
        ("claims.jwt", token.as_bytes()),
        ("x86_64-linux.bin", b"x"),
        ("aarch64-linux.bin", b"binary for aarch64-linux"),
    ]);
    let error = archive::read_target(&tampered, "aarch64-linux", LIMITS).unwrap_err();
    assert_eq!(error.code(), "hash_mismatch");
}

#[test]
fn the_native_target_is_named_like_in_archives() {
    let target = archive::native_target();
    assert!(archive::create(provider_claims(), binaries(&[&target]), &account()).is_ok());
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        assert_eq!(target, "x86_64-linux");
    }
}

#[test]
fn entry_order_folders_and_endings_do_not_matter() {
    let token = sample().token;
    let shuffled = tar_of(&[
        (EntryType::Directory, "./", b""),
        (EntryType::Regular, "./x86_64-linux.bin", b"binary for x86_64-linux"),
        (EntryType::Directory, "more/", b""),
        (EntryType::Regular, "more/aarch64-linux.exe", b"binary for aarch64-linux"),
        (EntryType::Regular, "claims.txt", token.as_bytes()),
    ]);
    assert_eq!(archive::read_with(&shuffled, LIMITS).unwrap().targets, sample().targets);
}

#[test]
fn a_listed_binary_may_be_absent_but_not_the_other_way_round() {
    let token = sample().token;
    let claims: (&str, &[u8]) = ("claims.jwt", token.as_bytes());
    let one = files(&[claims, ("x86_64-linux.bin", b"binary for x86_64-linux")]);
    assert_eq!(archive::read_with(&one, LIMITS).unwrap().targets.len(), 1);
    let unlisted = files(&[claims, ("arm-linux.bin", b"x")]);
    assert!(matches!(refusal(&unlisted), ArchiveError::Unlisted { target } if target == "arm-linux"));
    let changed = files(&[claims, ("x86_64-linux.bin", b"other")]);
    assert!(matches!(refusal(&changed), ArchiveError::HashMismatch { target, .. } if target == "x86_64-linux"));
    assert!(matches!(refusal(&files(&[claims])), ArchiveError::NoTargets));
    let error = archive::create(provider_claims(), BTreeMap::new(), &account()).unwrap_err();
    assert!(matches!(error, ArchiveError::NoTargets));
}

#[test]
fn claims_must_be_there_once_be_text_and_hold() {
    let binary: (&str, &[u8]) = ("x86_64-linux.bin", b"binary for x86_64-linux");
    let with_token = |token: &[u8]| refusal(&files(&[("claims.jwt", token), binary]));
    assert!(matches!(refusal(&files(&[binary])), ArchiveError::Unsigned));
    assert!(matches!(refusal(&[]), ArchiveError::Unsigned));
    assert!(matches!(with_token(&[0xFF, 0xFE]), ArchiveError::ClaimsNotText));
    assert!(matches!(with_token(b"a.b"), ArchiveError::Token(TokenError::Segments { found: 2 })));

    let token = sample().token;
    let (rest, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{rest}.{}", "A".repeat(86));
    assert_eq!(with_token(forged.as_bytes()).code(), "signature_invalid");
    let long = "A".repeat((1 << 20) + 1);
    let limits = Limits { unpacked_bytes: 1 << 22, ..LIMITS };
    let error = archive::read_with(&files(&[("claims.jwt", long.as_bytes()), binary]), limits).unwrap_err();
    assert_eq!(error.code(), "token_too_large");

    let bare = serde_json::to_string(&Claims::<ProviderMetadata> { metadata: None, ..provider_claims() }).unwrap();
    let bare = forge(r#"{"typ":"jwt","alg":"Ed25519"}"#, &bare, &account());
    assert!(matches!(with_token(bare.as_bytes()), ArchiveError::Token(TokenError::NoMetadata)));
    let actor = common::actor_claims().sign(&account()).unwrap();
    assert_eq!(with_token(actor.as_bytes()).code(), "wrong_subject_kind");
    let error = archive::create(provider_claims(), binaries(&["a"]), &key(claims::KeyKind::Account, 9)).unwrap_err();
    assert_eq!(error.code(), "issuer_mismatch");
}

#[test]
fn names_that_leave_the_archive_links_and_duplicates_are_refused() {
    for name in
        ["../x86_64-linux.bin", "a/../b.bin", "/etc/passwd", "a\\b.bin", "a b.bin", ".bin", "..bin", "-\u{7}.bin"]
    {
        let error = refusal(&files(&[(name, b"x")]));
        assert!(matches!(error, ArchiveError::BadEntry { entry: 1 }), "{name}: {error}");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char, EntryType::Block] {
        let error = refusal(&tar_of(&[(kind, "x86_64-linux.bin", b"")]));
        assert!(matches!(&error, ArchiveError::NotAFile { entry: 1 }), "{kind:?}: {error}");
    }
    let token = sample().token;
    for (one, two) in [("a.bin", "a.bin"), ("a.bin", "a.exe"), ("a.bin", "b/a.bin"), ("claims.jwt", "claims.bin")] {
        let error = refusal(&files(&[(one, token.as_bytes()), (two, token.as_bytes())]));
        assert!(matches!(error, ArchiveError::Duplicate { entry: 2 }), "{one} {two}: {error}");
    }
    for target in ["", "claims", ".hidden", "a/b", "ä", &"x".repeat(65)] {
        let error = archive::create(provider_claims(), binaries(&[target]), &account()).unwrap_err();
        assert!(matches!(error, ArchiveError::BadName { .. }), "{target}");
        let mut archive = sample();
        archive.targets.insert(target.to_owned(), Vec::new());
        assert!(matches!(archive::write(&archive, false), Err(ArchiveError::BadName { .. })), "{target}");
    }
}

#[test]
fn sizes_and_counts_are_bounded() {
    let bytes = archive::write(&sample(), false).unwrap();
    let exactly = Limits { unpacked_bytes: bytes.len() as u64, entries: 3 };
    assert!(archive::read_with(&bytes, exactly).is_ok());
    let error = archive::read_with(&bytes, Limits { entries: 2, ..exactly }).unwrap_err();
    assert!(matches!(error, ArchiveError::TooManyEntries { limit: 2 }));
    for unpacked_bytes in [0, 1, 511, 512, 1024, 2048] {
        let error = archive::read_with(&bytes, Limits { unpacked_bytes, entries: 3 }).unwrap_err();
        assert!(
            matches!(error, ArchiveError::TooLarge { limit } if limit == unpacked_bytes),
            "{unpacked_bytes}: {error}"
        );
    }
}

#[test]
fn a_bomb_is_stopped_at_the_bound() {
    let zeroes = vec![0u8; 64 << 20];
    let bomb = gzip(&files(&[("x86_64-linux.bin", &zeroes)]));
    assert!(bomb.len() < 1 << 20, "the bomb is small");
    assert!(matches!(refusal(&bomb), ArchiveError::TooLarge { .. }));
    // A name that never ends is held in memory by the reader of the tar format; the bound holds there too.
    let long_name = gzip(&tar_of(&[(EntryType::GNULongName, "././@LongLink", &zeroes)]));
    assert!(matches!(refusal(&long_name), ArchiveError::TooLarge { .. }));
}

#[test]
fn what_claims_to_be_large_is_refused_before_anything_is_allocated_or_unpacked() {
    let mut lying = files(&[("x86_64-linux.bin", b"x")]);
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..5].copy_from_slice(b"a.bin");
    header.set_size(archive::MAX_BINARY + 1);
    header.set_cksum();
    lying.splice(..512, header.as_bytes().iter().copied());
    let error = archive::read(&lying).unwrap_err();
    assert!(matches!(error, ArchiveError::TooLarge { limit: archive::MAX_BINARY }), "{error}");

    // Without claims little of it is looked at.
    header.set_size(archive::MAX_UNSIGNED_BYTES);
    header.set_cksum();
    lying.splice(..512, header.as_bytes().iter().copied());
    let error = archive::read(&lying).unwrap_err();
    assert!(matches!(error, ArchiveError::ClaimsTooLate { limit: archive::MAX_UNSIGNED_BYTES }), "{error}");
}

#[test]
fn a_binary_goes_into_a_stream_and_that_of_a_stranger_goes_nowhere() {
    let bytes = archive::write(&sample(), true).unwrap();
    let extract = |trusted: bool, bytes: &[u8]| {
        let mut out = Vec::new();
        let asked = std::cell::Cell::new(0);
        let is_trusted = |_: &claims::AccountId| {
            asked.set(asked.get() + 1);
            trusted
        };
        let result = archive::extract_target(bytes, "x86_64-linux", LIMITS, &is_trusted, &mut out);
        (result, out, asked.get())
    };
    let (archive, out, asked) = extract(true, &bytes);
    let archive = archive.unwrap();
    assert_eq!((out.as_slice(), asked), (&b"binary for x86_64-linux"[..], 1));
    assert!(archive.targets.is_empty() && archive.token == sample_like(&bytes).token);

    let (refused, out, _) = extract(false, &bytes);
    assert_eq!((refused.unwrap_err().code(), out.len()), ("untrusted_issuer", 0));

    let token = sample().token;
    let changed = files(&[("claims.jwt", token.as_bytes()), ("x86_64-linux.bin", b"changed")]);
    assert_eq!(extract(true, &changed).0.unwrap_err().code(), "hash_mismatch");
    let (checked, targets) = archive::check_from(bytes.as_slice(), LIMITS).unwrap();
    assert!(checked.targets.is_empty() && targets == ["aarch64-linux", "x86_64-linux"]);
}

#[test]
fn no_refusal_quotes_what_was_read() {
    let secret = b"root:$6$secret:19000:0:99999:7:::\n".repeat(40);
    let named = |kind| tar_of(&[(kind, "secret.txt", b"root"), (EntryType::Regular, "secret.md", b"root")]);
    for bytes in [secret.clone(), gzip(&secret), named(EntryType::Regular), named(EntryType::Symlink)] {
        let error = refusal(&bytes);
        let mut shown = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            shown.push_str(&format!(" {cause} {cause:?}"));
            source = cause.source();
        }
        assert!(!shown.contains("root") && !shown.contains("secret"), "{shown}");
    }
}

#[test]
fn damaged_archives_are_unreadable() {
    assert!(matches!(refusal(&[b'x'; 2048]), ArchiveError::Unreadable(_)));
    let mut gzipped = archive::write(&sample(), true).unwrap();
    gzipped.truncate(40);
    assert!(matches!(refusal(&gzipped), ArchiveError::Unreadable(_)));
    let mut bytes = archive::write(&sample(), false).unwrap();
    bytes[0] ^= 1;
    assert_eq!(refusal(&bytes).code(), "archive_unreadable");
}

#[test]
fn codes_of_archive_errors_are_stable() {
    let text = String::new;
    let codes = [
        (ArchiveError::Unreadable(std::io::Error::other("x")), "archive_unreadable"),
        (ArchiveError::Unwritable(std::io::Error::other("x")), "archive_unwritable"),
        (ArchiveError::Sparse { entry: 1 }, "archive_sparse"),
        (ArchiveError::TooLarge { limit: 1 }, "archive_too_large"),
        (ArchiveError::TooManyEntries { limit: 1 }, "archive_too_many_entries"),
        (ArchiveError::BadName { name: text() }, "archive_bad_name"),
        (ArchiveError::BadEntry { entry: 1 }, "archive_bad_name"),
        (ArchiveError::NotAFile { entry: 1 }, "archive_not_a_file"),
        (ArchiveError::Duplicate { entry: 1 }, "archive_duplicate"),
        (ArchiveError::ClaimsTooLate { limit: 1 }, "archive_claims_too_late"),
        (ArchiveError::Unsigned, "unsigned"),
        (ArchiveError::NoTargets, "no_targets"),
        (ArchiveError::NoSuchTarget { target: text(), available: Vec::new() }, "no_such_target"),
        (ArchiveError::ClaimsNotText, "claims_not_text"),
        (ArchiveError::Token(TokenError::NoMetadata), "malformed_token"),
        (ArchiveError::Unlisted { target: text() }, "unlisted_target"),
        (ArchiveError::HashMismatch { target: text(), signed: text(), found: text() }, "hash_mismatch"),
    ];
    for (error, code) in codes {
        assert_eq!(error.code(), code);
    }
}
