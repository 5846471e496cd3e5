//! Questions to a policy service and its decisions, against what a real 0.82 host and a real service put on the wire.
#![expect(clippy::unwrap_used, reason = "tests")]

mod vectors;

use lattice::policy::{PolicyAction, PolicyDecision, PolicyRequest};
use serde_json::{Value, json};

#[test]
fn questions_of_a_real_host_are_read_and_written_member_for_member() {
    let captured = vectors::load("captured_ctl");
    let requests = captured["policy_requests"].as_array().unwrap();
    let actions: Vec<PolicyAction> = requests
        .iter()
        .map(|wire| {
            let request: PolicyRequest = serde_json::from_value(wire.clone()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&request.to_json()).unwrap(), *wire);
            request.action
        })
        .collect();
    assert_eq!(actions, [PolicyAction::StartActor, PolicyAction::StartProvider, PolicyAction::PerformInvocation]);
}

#[test]
fn a_decision_of_a_real_service_is_read() {
    let wire = &vectors::load("captured_ctl")["policy_reply"];
    let decision = PolicyDecision::from_json(&serde_json::to_vec(wire).unwrap()).unwrap();
    assert!(decision.permitted && decision.message.is_none());
    assert_eq!(serde_json::from_slice::<Value>(&decision.to_json()).unwrap(), *wire);
}

#[test]
fn null_and_further_members_are_no_obstacle_and_a_message_is_one_line_of_bounded_length() {
    let wire = json!({"requestId": "a", "permitted": false, "message": null, "more": [1]});
    assert_eq!(PolicyDecision::from_json(&serde_json::to_vec(&wire).unwrap()).unwrap().message, None);
    let wire = json!({"requestId": "a", "permitted": false, "message": format!("no\n\u{1b}{}", "x".repeat(5000))});
    let message = PolicyDecision::from_json(&serde_json::to_vec(&wire).unwrap()).unwrap().message.unwrap();
    assert!(message.starts_with("no  x") && message.chars().count() <= 1024, "{message}");
}

#[test]
fn what_is_no_decision_is_refused_with_a_code() {
    let long = json!({"requestId": "x".repeat(129), "permitted": true}).to_string();
    let control = json!({"requestId": "a\nb", "permitted": true}).to_string();
    let large = format!("{}{}", r#"{"requestId":"a","permitted":true}"#, " ".repeat(64 * 1024));
    for (body, code) in [
        ("", "malformed_policy_decision"),
        ("[\"a\",true,null]", "malformed_policy_decision"),
        (r#"{"permitted":true}"#, "malformed_policy_decision"),
        (r#"{"requestId":"a"}"#, "malformed_policy_decision"),
        (r#"{"requestId":"a","permitted":"yes"}"#, "malformed_policy_decision"),
        (r#"{"requestId":"","permitted":true}"#, "policy_decision_without_request"),
        (&long, "policy_decision_without_request"),
        (&control, "policy_decision_without_request"),
        (&large, "policy_decision_too_large"),
    ] {
        assert_eq!(PolicyDecision::from_json(body.as_bytes()).unwrap_err().code(), code, "{body:.60}");
    }
}
