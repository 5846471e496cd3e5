//! The table of operations, whole.

use super::*;

fn found<'a>(host: &'a str, entity: &'a str, key: &'a str) -> Found<'a> {
    Found { host, entity, key }
}

#[test]
fn a_form_fits_what_has_its_words_and_leaves_the_rest_open() {
    assert_eq!(fit("ping.hosts", "ping.hosts"), Some(Found::default()));
    assert_eq!(fit("cmd.{host}.sa", "cmd.N.sa"), Some(found("N", "", "")));
    assert_eq!(fit("get.config.{entity}.{key}", "get.config.M.k"), Some(found("", "M", "k")));
    for (form, tail) in [
        ("ping.hosts", "ping"),
        ("ping.hosts", "ping.hosts.more"),
        ("cmd.{host}.sa", "cmd..sa"),
        ("cmd.{host}.sa", "cmd.N.sp"),
        ("ping.hosts", ""),
    ] {
        assert_eq!(fit(form, tail), None, "{form} {tail}");
    }
}

#[test]
fn the_form_that_spells_out_the_earlier_token_is_meant() {
    let (operation, found) = find("get.config.inv").expect("two forms fit");
    assert_eq!((operation.subject, found.entity), ("get.config.{entity}", "inv"));
}

#[test]
fn every_entry_leads_to_its_variant_and_back() {
    let host = claims::KeyPair::generate(claims::KeyKind::Server).public().to_string();
    for operation in OPERATIONS {
        let tail = operation.fill(&found(&host, "M", "k"));
        let (meant, found) = find(&tail).expect(operation.name);
        assert_eq!(meant.subject, operation.subject, "{tail}");
        let subject = (meant.read)(&found).expect(operation.name);
        assert_eq!(subject.operation().subject, operation.subject, "{}", operation.name);
    }
}

#[test]
fn what_is_listened_to_covers_what_is_asked() {
    let covers = |listened: &str, asked: &str| {
        let (mut listened, mut asked) = (listened.split('.'), asked.split('.'));
        loop {
            match (listened.next(), asked.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(one), Some(other)) if one == other => {}
                _ => return false,
            }
        }
    };
    for operation in OPERATIONS {
        for form in [Some(operation.subject), operation.also].into_iter().flatten() {
            assert!(covers(operation.listens, form), "{}: {form}", operation.name);
        }
        if let Some(observed) = operation.observed {
            assert!(covers(observed, operation.subject), "{}", operation.name);
        }
    }
}

#[test]
fn the_table_of_the_documents_is_this_one() {
    let document = include_str!("../../../../../docs/protocol.md");
    for operation in OPERATIONS {
        assert!(document.contains(&operation.row()), "docs/protocol.md lacks this row:\n{}", operation.row());
    }
    let rows = document.lines().filter(|line| line.ends_with(".rs` |") && line.contains("| `control/")).count();
    assert_eq!(rows, OPERATIONS.len(), "docs/protocol.md has rows of no operation");
}
