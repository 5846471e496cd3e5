//! References as people write them, and texts that are none.

use artifacts::{Digest, Reference};
use proptest::prelude::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(text: &str) -> Result<String, &'static str> {
    Reference::parse(text, None).map(|reference| reference.to_string()).map_err(|error| error.code())
}

#[test]
fn references_lose_their_scheme_and_their_capitals_but_tags_do_not() {
    for (written, meant) in [
        ("registry.test/echo:1", "registry.test/echo:1"),
        ("  oci://registry.test/echo:1 ", "registry.test/echo:1"),
        ("https://registry.test/echo:1", "registry.test/echo:1"),
        ("HTTP://127.0.0.1:5000/Team/Echo:V1.0", "127.0.0.1:5000/team/echo:V1.0"),
        ("Registry.test/Echo:2.0.0-RC1", "registry.test/echo:2.0.0-RC1"),
        ("LOCALHOST/Echo:A", "localhost/echo:A"),
        ("localhost/echo", "localhost/echo"),
        ("[::1]:5000/echo:1", "[::1]:5000/echo:1"),
        ("oci://registry/echo:1", "oci://registry/echo:1"),
        ("registry.test/a-b_c__d.e/f--g:1", "registry.test/a-b_c__d.e/f--g:1"),
    ] {
        assert_eq!(parse(written).as_deref(), Ok(meant), "{written}");
    }
}

#[test]
fn a_digest_stands_beside_or_instead_of_a_tag() {
    let pinned = Reference::parse(&format!("registry.test/echo:1@sha256:{HEX}"), None).expect("a reference");
    assert_eq!((pinned.tag(), pinned.digest()), (Some("1"), Some(&Digest::of(b""))));
    assert!(!pinned.is_latest());
    let pinned = Reference::parse(&format!("registry.test/echo@SHA256:{}", HEX.to_uppercase()), None).expect("one");
    assert_eq!((pinned.tag(), pinned.digest()), (None, Some(&Digest::of(b""))));
    assert!(!pinned.is_latest());
    assert_eq!(parse(&format!("registry.test/echo@sha512:{HEX}{HEX}")), Err("digest_algorithm"));
    assert_eq!(parse("registry.test/echo@sha256:12"), Err("digest_malformed"));
}

#[test]
fn latest_is_the_tag_of_that_name_or_none() {
    let latest = |text: &str| Reference::parse(text, None).expect("a reference").is_latest();
    assert!(latest("registry.test/echo"));
    assert!(latest("registry.test/echo:LATEST"));
    assert!(!latest("registry.test/echo:latest-1"));
}

#[test]
fn a_default_registry_is_for_references_without_one() {
    let parse = |text: &str, default| Reference::parse(text, default).map(|r| r.to_string()).map_err(|e| e.code());
    assert_eq!(parse("echo:1", Some("registry.test")).as_deref(), Ok("registry.test/echo:1"));
    assert_eq!(parse("/team/echo:1", Some("https://Registry.test/")).as_deref(), Ok("registry.test/team/echo:1"));
    assert_eq!(parse("echo:1", Some("registry.test/team")).as_deref(), Ok("registry.test/team/echo:1"));
    assert_eq!(parse("other.test/echo:1", Some("registry.test")).as_deref(), Ok("other.test/echo:1"));
    assert_eq!(parse("echo:1", Some("  ")), Err("no_registry"));
    assert_eq!(parse("echo:1", None), Err("no_registry"));
    assert_eq!(parse("team/echo:1", None), Err("no_registry"));
    assert_eq!(parse("oci://echo", Some("registry.test")), Err("no_registry"));
}

#[test]
fn what_is_no_reference_says_which_part() {
    for (text, code) in [
        ("", "empty_reference"),
        ("   ", "empty_reference"),
        ("registry.test/", "bad_repository"),
        ("registry.test//echo", "bad_repository"),
        ("registry.test/../echo:1", "bad_repository"),
        ("registry.test/echo/:1", "bad_repository"),
        ("registry.test/-echo:1", "bad_repository"),
        ("registry.test/e___cho:1", "bad_repository"),
        ("registry.test/e..cho:1", "bad_repository"),
        ("registry.test/e%2fcho:1", "bad_repository"),
        ("registry.test/écho:1", "bad_repository"),
        ("registry.test/echo:", "bad_tag"),
        ("registry.test/echo:.1", "bad_tag"),
        ("registry.test/echo:1/2", "bad_tag"),
        ("registry.test/echo:1?x=y", "bad_tag"),
        ("registry.test:0/echo:1", "bad_registry"),
        ("registry.test:65536/echo:1", "bad_registry"),
        ("registry.test:+80/echo:1", "bad_registry"),
        ("registry.test:/echo:1", "bad_registry"),
        ("user@registry.test/echo:1", "bad_registry"),
        ("user:pass@registry.test/echo:1", "bad_registry"),
        ("-registry.test/echo:1", "bad_registry"),
        ("registry..test/echo:1", "bad_registry"),
        ("[::1/echo:1", "bad_registry"),
        ("[registry.test/echo:1", "bad_registry"),
        ("[r\u{1}.test/echo:1", "bad_registry"),
        ("[v1.x]/echo:1", "bad_registry"),
        ("oci:///echo:1", "bad_registry"),
    ] {
        assert_eq!(parse(text), Err(code), "{text}");
    }
}

#[test]
fn every_length_has_its_bound() {
    assert!(parse(&format!("registry.test/{}:1", "a".repeat(255))).is_ok());
    assert_eq!(parse(&format!("registry.test/{}:1", "a".repeat(256))), Err("bad_repository"));
    assert!(parse(&format!("registry.test/a:{}", "1".repeat(128))).is_ok());
    assert_eq!(parse(&format!("registry.test/a:{}", "1".repeat(129))), Err("bad_tag"));
    assert_eq!(parse(&format!("{}.test/a:1", "a".repeat(64))), Err("bad_registry"));
    assert_eq!(parse(&format!("{}a/a:1", "a.".repeat(127))), Err("bad_registry"));
    assert_eq!(parse(&"a".repeat(1025)), Err("reference_too_long"));
    let long_default = "r".repeat(1024);
    let with_default = Reference::parse("echo:1", Some(&long_default)).map_err(|error| error.code());
    assert_eq!(with_default, Err("reference_too_long"));
}

#[test]
fn a_refusal_says_what_to_do() {
    let error = Reference::parse("echo:1", None).expect_err("no registry");
    assert_eq!(error.to_string(), "`echo:1` names no registry");
    assert!(error.next_step().contains("--registry"), "{}", error.next_step());
}

proptest! {
    #[test]
    fn whatever_parses_prints_as_something_that_parses_to_itself(text in "\\PC{0,60}", default in "\\PC{0,20}") {
        for default in [None, Some(default.as_str())] {
            if let Ok(reference) = Reference::parse(&text, default) {
                prop_assert_eq!(Reference::parse(&reference.to_string(), None), Ok(reference));
            }
        }
    }

    #[test]
    fn plausible_references_round_trip(
        text in "(oci://|http://)?([a-z0-9.-]{1,12}(:[0-9]{1,5})?/)?[a-z0-9._/-]{1,20}(:[A-Za-z0-9._-]{1,10})?"
    ) {
        if let Ok(reference) = Reference::parse(&text, Some("registry.test")) {
            prop_assert_eq!(Reference::parse(&reference.to_string(), None), Ok(reference));
        }
    }
}
