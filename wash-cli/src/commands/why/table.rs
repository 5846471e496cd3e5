//! Set-ups as the hosts of a lattice tell them, and the verdict on each: half of them broken, half healthy after a
//! trouble. What hosts tell in each case is tested with real hosts (`lattice-tests/tests/why.rs`).
#![expect(clippy::unwrap_used, reason = "tests")]

use claims::{ActorId, HostId, KeyKind, ProviderId, PublicKey};
use lattice::{
    ContractId, Link, LinkName,
    control::{ClaimsRow, HostSummary},
};
use serde_json::{Value, json};

use super::{
    chain::{actor, actor_to_actor, not_started, over_link},
    diagnosis::Diagnosis,
    facts::Facts,
};

const NOW: u64 = 1_700_000_000;
const CONTRACT: &str = "wasmcloud:httpserver";
const REFERENCE: &str = "file:///echo.wasm";

fn key(kind: KeyKind, byte: u8) -> PublicKey {
    PublicKey::from_raw(kind, [byte; 32])
}

fn host(byte: u8) -> HostId {
    key(KeyKind::Server, byte).try_into().unwrap()
}

fn echo() -> ActorId {
    key(KeyKind::Module, 1).try_into().unwrap()
}

fn callee() -> ActorId {
    key(KeyKind::Module, 2).try_into().unwrap()
}

fn server() -> ProviderId {
    key(KeyKind::Service, 3).try_into().unwrap()
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Link,
    Call,
    Actor,
    Reference,
}

/// What the lattice says, as JSON, so that a trouble is one change of it.
struct World {
    inventories: [Value; 2],
    replies: [Value; 2],
    claims: Vec<ClaimsRow>,
    links: Vec<Link>,
}

impl World {
    /// Two hosts; everything runs on the first and works.
    fn well() -> Self {
        let actor = |id: ActorId| json!({"id": id, "image_ref": REFERENCE, "instances": [{"image_ref": REFERENCE}]});
        let runs = json!({"host_id": host(1), "actors": [actor(echo()), actor(callee())], "providers": [
            {"id": server(), "contract_id": CONTRACT, "link_name": "default", "revision": 1}]});
        let state = |running: bool| {
            json!({"running": running, "in_use": 0, "max_instances": if running { 5 } else { 0 },
                   "issuer_trusted": true, "contracts": running.then_some([CONTRACT])})
        };
        let reply = |number: u8| {
            json!({"host_id": host(number), "nats": {"used": true, "control": true, "rpc": true},
                   "actor": state(number == 1), "callee": state(number == 1), "failures": [], "rpc_timeout_ms": 2000})
        };
        let mut first = reply(1);
        first["provider"] = json!({"id": server(), "contract": CONTRACT, "up": true, "healthy": true, "serves": true});
        let row =
            |pairs: &[(&str, String)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let caps = || CONTRACT.to_owned();
        Self {
            inventories: [runs, json!({"host_id": host(2)})],
            replies: [first, reply(2)],
            claims: vec![
                row(&[("sub", echo().to_string()), ("name", "echo".to_owned()), ("caps", caps())]),
                row(&[("sub", callee().to_string()), ("name", "other".to_owned()), ("caps", caps())]),
                row(&[("sub", server().to_string()), ("contract_id", caps())]),
            ],
            links: vec![Link {
                actor_id: echo(),
                provider_id: server(),
                link_name: LinkName::default(),
                contract_id: CONTRACT.parse().unwrap(),
                values: std::collections::BTreeMap::new(),
            }],
        }
    }

    fn facts(self) -> Facts {
        let summary = |number: u8| HostSummary {
            friendly_name: format!("host-{number}"),
            lattice: "default".to_owned(),
            ..HostSummary::new(host(number))
        };
        Facts {
            hosts: vec![summary(1), summary(2)],
            inventories: self.inventories.map(|value| serde_json::from_value(value).unwrap()).into(),
            replies: self.replies.map(|value| serde_json::from_value(value).unwrap()).into(),
            claims: self.claims,
            links: self.links,
            silent: Vec::new(),
            now: NOW,
        }
    }

    fn provider(&mut self, member: &str, value: Value) {
        self.replies[0]["provider"][member] = value;
    }

    /// A host remembers a failure, `ago` seconds old, over since `over` seconds if it is.
    fn failed(&mut self, on: usize, failure: Value, ago: u64, over: Option<u64>) {
        let mut failure = failure;
        failure["at"] = json!(NOW - ago);
        failure["over_at"] = json!(over.map(|over| NOW - over));
        failure["times"] = json!(1);
        self.replies[on]["failures"].as_array_mut().unwrap().push(failure);
    }

    fn runs_nowhere(&mut self) {
        self.inventories[0]["actors"] = json!([]);
        for reply in &mut self.replies {
            reply["actor"]["running"] = json!(false);
            reply["actor"]["contracts"] = Value::Null;
        }
    }
}

fn of_link(code: &str) -> Value {
    json!({"what": "link", "code": code, "message": "no", "kind": "outgoing", "contract": CONTRACT,
           "link_name": "default", "operation": "Get"})
}

fn of_provider(code: &str) -> Value {
    json!({"what": "provider", "code": code, "message": "no", "kind": "provider", "link_name": "default",
           "peer": server(), "operation": "HttpServer.HandleRequest"})
}

fn of_arrival(code: &str, contract: Option<&str>) -> Value {
    json!({"what": "call", "code": code, "message": "no", "kind": "arrival", "contract": contract, "operation": "Get"})
}

fn of_start(code: &str) -> Value {
    json!({"what": "start of it", "code": code, "message": "no", "kind": "start"})
}

fn of_callee(code: &str) -> Value {
    json!({"what": "call", "code": code, "message": "no", "kind": "outgoing", "peer": callee(), "operation": "Do"})
}

type Row = (&'static str, Ask, fn(&mut World), &'static str);

const BROKEN: &[Row] = &[
    (
        "no claim",
        Ask::Link,
        |w| {
            w.replies[0]["actor"]["contracts"] = json!(["acme:x"]);
        },
        "missing_claim",
    ),
    ("no link", Ask::Link, |w| w.links.clear(), "missing_link"),
    (
        "another contract",
        Ask::Link,
        |w| {
            w.claims[2].insert("contract_id".to_owned(), "acme:x".to_owned());
        },
        "wrong_contract",
    ),
    ("another link name", Ask::Link, |w| w.links[0].link_name = "other".parse().unwrap(), "wrong_link_name"),
    (
        "no provider",
        Ask::Link,
        |w| {
            w.inventories[0]["providers"] = json!([]);
            w.replies[0]["provider"] = Value::Null;
        },
        "provider_not_running",
    ),
    ("a process that is down", Ask::Link, |w| w.provider("up", json!(false)), "provider_dead"),
    ("a process that does not answer", Ask::Link, |w| w.provider("healthy", Value::Null), "provider_dead"),
    ("an unhealthy provider", Ask::Link, |w| w.provider("healthy", json!(false)), "provider_unhealthy"),
    (
        "a refused link",
        Ask::Link,
        |w| {
            w.provider("serves", json!(false));
            w.failed(0, of_link("link_refused"), 5, None);
        },
        "link_refused",
    ),
    (
        "a policy that denies",
        Ask::Link,
        |w| {
            w.replies[0]["policy"] = json!({"topic": "p", "default": "deny", "refused": "no", "code": "policy_denied"});
        },
        "policy_denied",
    ),
    ("an actor that runs nowhere", Ask::Actor, World::runs_nowhere, "actor_not_running"),
    ("every instance taken", Ask::Actor, |w| w.replies[0]["actor"]["in_use"] = json!(5), "actor_full"),
    ("a revoked actor", Ask::Actor, |w| w.replies[0]["actor"]["revoked"] = json!("by a list"), "revoked"),
    (
        "an issuer nobody trusts",
        Ask::Actor,
        |w| {
            w.runs_nowhere();
            w.replies.iter_mut().for_each(|reply| reply["actor"]["issuer_trusted"] = json!(false));
        },
        "untrusted_issuer",
    ),
    (
        "a deadline that is too short",
        Ask::Link,
        |w| w.failed(0, of_link("deadline_exceeded"), 3, None),
        "deadline_too_short",
    ),
    ("the provider's calls fail", Ask::Link, |w| w.failed(0, of_provider("busy"), 3, None), "actor_full"),
    ("calls from elsewhere fail", Ask::Link, |w| w.failed(0, of_arrival("trap", Some(CONTRACT)), 3, None), "trap"),
    (
        "one operation works and another does not",
        Ask::Link,
        |w| {
            w.failed(0, of_link("trap"), 9, Some(2));
            let mut other = of_link("reported");
            other["operation"] = json!("Set");
            w.failed(0, other, 12, None);
        },
        "reported",
    ),
    (
        "a start that failed",
        Ask::Reference,
        |w| w.failed(1, of_start("untrusted_issuer"), 900, None),
        "untrusted_issuer",
    ),
    (
        "a callee without room, whose caller has some",
        Ask::Call,
        |w| w.replies[0]["callee"]["in_use"] = json!(5),
        "actor_full",
    ),
    ("a call to an actor that traps", Ask::Call, |w| w.failed(0, of_callee("trap"), 3, None), "trap"),
];

const HEALTHY: &[Row] = &[
    ("a short deadline, then good calls", Ask::Link, |w| w.failed(0, of_link("deadline_exceeded"), 9, Some(3)), ""),
    ("a busy moment, then good calls", Ask::Link, |w| w.failed(0, of_provider("busy"), 9, Some(8)), ""),
    ("a trap, then good calls", Ask::Actor, |w| w.failed(0, of_arrival("trap", None), 9, Some(1)), ""),
    ("a call that trapped, then good ones", Ask::Call, |w| w.failed(0, of_callee("trap"), 9, Some(1)), ""),
    (
        "a link refused where the provider is gone",
        Ask::Link,
        |w| {
            w.failed(1, of_link("link_refused"), 9, Some(5));
        },
        "",
    ),
    ("a link refused here and served there", Ask::Link, |w| w.failed(1, of_link("link_refused"), 9, None), ""),
    (
        "a link refused, then put with better values",
        Ask::Link,
        |w| {
            w.failed(0, of_link("link_refused"), 9, Some(2));
        },
        "",
    ),
    ("a provider that was restarted", Ask::Link, |w| w.failed(0, of_provider("provider_dead"), 9, Some(8)), ""),
    (
        "calls cut off by a restart",
        Ask::Link,
        |w| {
            w.failed(0, of_provider("provider_dead"), 9, Some(7));
            w.failed(1, of_link("deadline_exceeded"), 8, None);
        },
        "",
    ),
    ("a provider that was out of reach", Ask::Link, |w| w.failed(0, of_link("unreachable"), 9, None), ""),
    (
        "a start that failed, and later one that did not",
        Ask::Actor,
        |w| {
            w.failed(0, of_start("fetch_failed"), 9, Some(2));
        },
        "",
    ),
    ("a start that failed on another host", Ask::Actor, |w| w.failed(1, of_start("fetch_failed"), 9, None), ""),
    ("a failure of long ago", Ask::Link, |w| w.failed(0, of_link("trap"), 601, None), ""),
    ("a link that was missing", Ask::Link, |w| w.failed(0, of_link("not_linked"), 9, None), ""),
    ("a claim that was missing", Ask::Link, |w| w.failed(0, of_link("not_granted"), 9, None), ""),
    (
        "a policy that denied",
        Ask::Link,
        |w| {
            w.failed(0, of_link("policy_denied"), 9, None);
            w.replies[0]["policy"] = json!({"topic": "p", "default": "deny"});
        },
        "",
    ),
    ("trouble of another contract", Ask::Link, |w| w.failed(0, of_arrival("trap", Some("acme:x")), 9, None), ""),
    (
        "trouble with a call of somebody's",
        Ask::Link,
        |w| w.failed(0, of_arrival("deadline_exceeded", None), 9, None),
        "",
    ),
    ("an actor that was not running when called", Ask::Call, |w| w.failed(0, of_callee("not_running"), 9, None), ""),
    ("nothing ever", Ask::Link, |_| {}, ""),
];

fn verdict(ask: Ask, facts: &Facts) -> Diagnosis {
    let contract: ContractId = CONTRACT.parse().unwrap();
    match ask {
        Ask::Link => over_link(facts, &echo(), &contract, &LinkName::default()),
        Ask::Call => actor_to_actor(facts, &echo(), &callee()),
        Ask::Actor => actor(facts, &echo()),
        Ask::Reference => not_started(facts, REFERENCE),
    }
}

#[test]
fn forty_one_set_ups_get_the_right_verdict() {
    assert_eq!((BROKEN.len(), HEALTHY.len()), (21, 20));
    let mut wrong = Vec::new();
    for (what, ask, trouble, expected) in BROKEN.iter().chain(HEALTHY) {
        let mut world = World::well();
        trouble(&mut world);
        let found = verdict(*ask, &world.facts());
        let code = found.cause.as_ref().map_or("", |cause| cause.code.as_str());
        if code != *expected {
            wrong.push(format!("{what}: `{code}` instead of `{expected}`: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_over_is_told_as_history() {
    let mut world = World::well();
    world.failed(0, of_link("deadline_exceeded"), 9, Some(3));
    let found = verdict(Ask::Link, &world.facts());
    let [remark] = found.remarks.as_slice() else { panic!("one remark: {:?}", found.remarks) };
    assert!(
        remark.contains("failed 9 s ago") && remark.contains("the same worked later, or ended, 3 s ago"),
        "{remark}"
    );
}
