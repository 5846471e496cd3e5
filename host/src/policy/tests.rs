//! Questions without anybody to answer them.

use std::sync::Arc;

use claims::ActorId;
use lattice::policy::PolicyAction;

use super::{Party, Policy, PolicyError, Question, Silence};
use crate::{
    settings::PolicyDefault,
    testing::{CONTRACT, World, account, actor, provider},
};

fn question(of: ActorId) -> Question {
    Question::start(PolicyAction::StartActor, Party::actor(&of, Some(account(1))))
}

async fn asked(policy: &Arc<Policy>) -> Result<(), PolicyError> {
    policy.check(question(actor(1)), || panic!("nobody is asked, so nothing is looked up")).await
}

#[tokio::test]
async fn without_nats_the_default_holds_and_says_why() {
    let world = World::new();
    let denied = asked(&world.policy(PolicyDefault::Deny)).await.expect_err("it is denied");
    let expected = PolicyError::Unanswered { action: PolicyAction::StartActor, silence: Silence::NoNats };
    assert_eq!(denied, expected);
    assert!(denied.may_pass() && denied.code() == "policy_unanswered");
    assert_eq!(asked(&world.policy(PolicyDefault::Permit)).await, Ok(()));
}

#[tokio::test]
async fn a_start_is_asked_about_by_what_is_to_start() {
    let world = World::new();
    let policy = world.policy(PolicyDefault::Deny);
    let actor = policy.may_start_actor(&actor(1), account(1)).await.expect_err("nobody permits it");
    assert!(matches!(actor, PolicyError::Unanswered { action: PolicyAction::StartActor, .. }), "{actor}");
    let contract = CONTRACT.parse().expect("a contract");
    let provider = policy.may_start_provider(&provider(1), account(1), &contract, &lattice::LinkName::default()).await;
    let provider = provider.expect_err("nobody permits it");
    assert!(matches!(provider, PolicyError::Unanswered { action: PolicyAction::StartProvider, .. }), "{provider}");
}

#[test]
fn whatever_a_decision_depends_on_makes_another_question() {
    let contract = || CONTRACT.parse().expect("a contract");
    let served = |name: &str| Party::provider(&provider(1), None, contract(), name.parse().expect("a name"));
    let caller = || Party::actor(&actor(1), None);
    let one = Question::call(caller(), served("one"));
    assert_eq!(one, Question::call(caller(), served("one")));
    assert_ne!(one, Question::call(caller(), served("two")));
    assert_ne!(one, Question::call(Party::actor(&actor(1), Some(account(1))), served("one")));
    assert_ne!(one, Question::call(served("one"), caller()));
    assert_ne!(question(actor(1)), question(actor(2)));
}

#[tokio::test]
async fn a_question_says_who_asks_and_what_the_source_may() {
    let world = World::new();
    let policy = world.policy(PolicyDefault::Deny);
    let call = Question::call(Party::actor(&actor(1), Some(account(1))), Party::actor(&actor(2), None));
    let request = call.request(policy.host(), vec![CONTRACT.to_owned()], "id");
    assert_eq!(request.host.public_key, world.identity.host_id);
    assert_eq!(request.host.labels, world.identity.labels.all());
    assert_eq!(request.source.capabilities, [CONTRACT]);
    assert_eq!((request.source.issuer, request.target.issuer), (Some(account(1)), None));
    assert_eq!(request.action, PolicyAction::PerformInvocation);
}

#[tokio::test]
async fn news_about_a_question_nobody_asked_change_nothing() {
    let world = World::new();
    let policy = world.policy(PolicyDefault::Permit);
    policy.hear(br#"{"requestId":"x","permitted":false}"#);
    policy.hear(b"junk");
    assert_eq!(policy.known_refusal(&question(actor(1))), None);
}
