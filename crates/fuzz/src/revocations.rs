//! Revocation lists and statements of ownership, as tokens and as JSON that is signed here.

use claims::ownership::{Record, Transfer};
use claims::revocation::{Facts, MAX_ENTRIES, Revoked, Signer, verify};
use claims::{AccountId, KeyKind, PublicKey};

use crate::forge;

/// The input as a token, and as the claims of one.
pub fn revocations(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = verify(text);
    for word in Revoked::KINDS {
        if let Ok(revoked) = Revoked::parse(word, text) {
            assert_eq!((revoked.kind(), revoked.to_string().as_str()), (word, text));
        }
    }

    let signer = forge::signer_named_in(text);
    ownership(text);
    ownership(&forge::token(data, &signer));
    let Ok(signed) = verify(&forge::token(data, &signer)) else { return };
    assert_eq!(signed.signer.public_key(), signer.public());
    assert!(signed.list.entries.len() <= MAX_ENTRIES);
    let again = signed.list.sign(&signer, signed.issued_at).expect("a list that verified can be signed again");
    let again = verify(&again).expect("what we sign verifies");
    assert_eq!((&again.list, again.issued_at), (&signed.list, signed.issued_at));

    // Every entry is found by what it names, unless an account speaks about the work of another.
    let other = forge::signer(KeyKind::Account).public();
    for entry in &signed.list.entries {
        let (issuer, digest) = match entry.revoked {
            Revoked::Issuer(issuer) => (issuer, None),
            Revoked::Digest(digest) => (AccountId::try_from(other).expect("an account"), Some(digest)),
            _ => (AccountId::try_from(other).expect("an account"), None),
        };
        let subject: PublicKey = entry.revoked.to_string().parse().unwrap_or(other);
        let facts = Facts { issuer, subject: &subject, digests: digest.as_slice() };
        let entitled = match signed.signer {
            Signer::Cluster(_) => true,
            Signer::Account(account) => account == issuer,
        };
        assert_eq!(signed.names(&facts).is_some(), entitled, "{}", entry.revoked);
    }
}

/// Neither is taken for the other, and what was read can be signed and read again.
fn ownership(token: &str) {
    let (transfer, record) = (Transfer::verify(token), Record::verify(token));
    assert!(transfer.is_err() || record.is_err(), "one token, two meanings");
    if let Ok(record) = record {
        let cluster = forge::signer(KeyKind::Cluster);
        let again = record.content.sign(&cluster).expect("a record that verified can be signed again");
        assert_eq!(Record::verify(&again).expect("what we sign verifies").content, record.content);
        assert!(!record.content.replaces(&record.content));
    }
    if let Ok(transfer) = transfer {
        let again = transfer.content.sign(&forge::signer(KeyKind::Account)).expect("it can be signed again");
        assert_eq!(Transfer::verify(&again).expect("what we sign verifies").content, transfer.content);
    }
}
