//! Issuer chains: the golden one, and every link that can be missing.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use claims::{AccountMetadata, Claims, KeyKind, KeyPair, OperatorMetadata, PublicKey, verify_chain};
use common::{NOW, account, key, text, vector};

fn operator() -> KeyPair {
    key(KeyKind::Operator, 8)
}

fn names(keys: &[PublicKey]) -> Option<Vec<String>> {
    Some(keys.iter().map(ToString::to_string).collect())
}

fn account_claims(signer: &KeyPair, valid_signers: &[PublicKey]) -> Claims<AccountMetadata> {
    let metadata = AccountMetadata { name: None, valid_signers: names(valid_signers) };
    Claims::new(signer.public(), account().public().as_str(), metadata, NOW)
}

fn operator_claims(signer: &KeyPair, valid_signers: &[PublicKey]) -> Claims<OperatorMetadata> {
    let metadata = OperatorMetadata { name: None, valid_signers: names(valid_signers) };
    Claims::new(signer.public(), operator().public().as_str(), metadata, NOW)
}

#[test]
fn the_golden_account_stands_on_the_golden_operator() {
    let tokens = vector("jwt");
    let (account, operator) = (text(&tokens["account"], "jwt"), text(&tokens["operator"], "jwt"));
    let actor = Claims::<claims::ActorMetadata>::verify(text(&tokens["actor"], "jwt"), NOW).unwrap();
    let chain = verify_chain(actor.issuer, account, Some(operator), NOW).unwrap();
    assert_eq!(chain.account.subject, actor.issuer.as_str());
    assert_eq!(chain.operator.as_ref().map(|operator| operator.issuer), Some(chain.root()));
}

#[test]
fn signers_that_an_entity_names_sign_for_it_and_others_do_not() {
    let (helper, stranger) = (key(KeyKind::Account, 20), key(KeyKind::Account, 21));
    let deputy = key(KeyKind::Operator, 22);
    let account_token = account_claims(&deputy, &[helper.public()]).sign(&deputy).unwrap();
    let self_signed = |signers: &[PublicKey]| operator_claims(&operator(), signers).sign(&operator()).unwrap();
    let with_deputy = self_signed(&[deputy.public()]);
    let code = |issuer: &KeyPair, operator: Option<&str>| {
        verify_chain(issuer.public(), &account_token, operator, NOW).map(|_| ()).map_err(|error| error.code())
    };
    let roots = [None, Some(with_deputy.as_str())]
        .map(|above| verify_chain(account().public(), &account_token, above, NOW).unwrap().root());
    assert_eq!(roots, [deputy.public(), operator().public()]);
    for issuer in [account(), helper] {
        assert_eq!(code(&issuer, None), Ok(()));
        assert_eq!(code(&issuer, Some(&with_deputy)), Ok(()));
        assert_eq!(code(&issuer, Some(&self_signed(&[]))), Err("may_not_sign"));
    }
    assert_eq!(code(&stranger, Some(&with_deputy)), Err("may_not_sign"));
    // An operator stands on nobody.
    let by_another = operator_claims(&deputy, &[deputy.public()]).sign(&deputy).unwrap();
    assert_eq!(code(&account(), Some(&by_another)), Err("not_self_signed"));
}

#[test]
fn every_token_of_a_chain_must_hold() {
    let issuer = account().public();
    let good = account_claims(&operator(), &[]).sign(&operator()).unwrap();
    let expired = Claims { expires_at: Some(NOW - 1), ..account_claims(&operator(), &[]) };
    let expired = expired.sign(&operator()).unwrap();
    let root = operator_claims(&operator(), &[]).sign(&operator()).unwrap();
    let early = Claims { not_before: Some(NOW + 1), ..operator_claims(&operator(), &[]) };
    let early = early.sign(&operator()).unwrap();
    let code = |account: &str, operator: &str| {
        verify_chain(issuer, account, Some(operator), NOW).map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(code(&good, &root), Ok(()));
    assert_eq!(code(&expired, &root), Err("expired"));
    assert_eq!(code(&good, &early), Err("not_yet_valid"));
    assert_eq!(code(&root, &good), Err("wrong_subject_kind"));
    assert_eq!(code(&good, &good), Err("wrong_subject_kind"));
    assert_eq!(code("", &root), Err("malformed_token"));
}
