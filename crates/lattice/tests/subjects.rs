//! Every subject round-trips, and no text makes a parser panic or read another lattice.

#![expect(clippy::unwrap_used, reason = "tests")]

use claims::{ActorId, HostId, KeyKind, ProviderId, PublicKey};
use lattice::subject::{
    self, ConfigKey, ControlRoot, ControlSubject, HostCommand, LatticeKey, RpcSubject, SubjectError,
};
use lattice::{LatticeId, LinkName};
use proptest::prelude::*;

fn key<T>(kind: KeyKind) -> impl Strategy<Value = T>
where
    T: TryFrom<PublicKey, Error: std::fmt::Debug> + std::fmt::Debug,
{
    any::<[u8; 32]>().prop_map(move |raw| T::try_from(PublicKey::from_raw(kind, raw)).expect("the kind fits"))
}

fn host() -> impl Strategy<Value = HostId> {
    key(KeyKind::Server)
}

fn lattice_id() -> impl Strategy<Value = LatticeId> {
    "[^.*>\\s\\p{Cc}]{1,20}".prop_map(|text| text.parse().unwrap())
}

fn link_name() -> impl Strategy<Value = LinkName> {
    "[^.*>\\s\\p{Cc}]{1,20}".prop_map(|text| text.parse().unwrap())
}

fn root() -> impl Strategy<Value = ControlRoot> {
    prop_oneof![
        lattice_id().prop_map(ControlRoot::new),
        ("[a-z]{1,5}(\\.[a-z]{1,5}){0,3}", lattice_id())
            .prop_map(|(prefix, lattice)| ControlRoot::with_prefix(&prefix, lattice).unwrap()),
    ]
}

fn control() -> impl Strategy<Value = ControlSubject> {
    let entity = || "[MV][A-Z2-7]{55}";
    let entry = || (entity(), "[a-z_-]{1,12}").prop_map(|(entity, key)| ConfigKey { entity, key });
    prop_oneof![
        Just(ControlSubject::PingHosts),
        Just(ControlSubject::AuctionActor),
        Just(ControlSubject::AuctionProvider),
        (host(), proptest::sample::select(&HostCommand::ALL[..]))
            .prop_map(|(host, command)| ControlSubject::Command(host, command)),
        host().prop_map(ControlSubject::GetInventory),
        host().prop_map(ControlSubject::AskWhy),
        host().prop_map(ControlSubject::PutLabel),
        host().prop_map(ControlSubject::DeleteLabel),
        Just(ControlSubject::PutRegistries),
        Just(ControlSubject::PutLink),
        Just(ControlSubject::DeleteLink),
        Just(ControlSubject::GetClaims),
        Just(ControlSubject::GetLinks),
        entry().prop_map(ControlSubject::PutConfig),
        entry().prop_map(ControlSubject::DeleteConfig),
        entity().prop_map(ControlSubject::ClearConfig),
        entry().prop_map(ControlSubject::GetConfig),
        entity().prop_map(ControlSubject::GetAllConfig),
        Just(ControlSubject::PutRevocations),
        Just(ControlSubject::GetRevocations),
        Just(ControlSubject::PutOwner),
    ]
}

fn rpc() -> impl Strategy<Value = RpcSubject> {
    let provider = || (key::<ProviderId>(KeyKind::Service), link_name());
    prop_oneof![
        key::<ActorId>(KeyKind::Module).prop_map(RpcSubject::Actor),
        provider().prop_map(|(id, link_name)| RpcSubject::Provider { id, link_name }),
        provider().prop_map(|(id, link_name)| RpcSubject::LinkPut { id, link_name }),
        provider().prop_map(|(id, link_name)| RpcSubject::LinkDel { id, link_name }),
        provider().prop_map(|(id, link_name)| RpcSubject::Health { id, link_name }),
        provider().prop_map(|(id, link_name)| RpcSubject::Shutdown { id, link_name }),
        key::<HostId>(KeyKind::Server).prop_map(RpcSubject::Session),
        key::<HostId>(KeyKind::Server).prop_map(RpcSubject::Calls),
        key::<HostId>(KeyKind::Server).prop_map(RpcSubject::Answers),
    ]
}

/// What NATS means by a pattern.
fn matches(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for token in pattern.split('.') {
        match (token, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

proptest! {
    #[test]
    fn control_subjects_round_trip(root in root(), subject in control()) {
        prop_assert_eq!(ControlSubject::parse(&root, &subject.render(&root)), Ok(subject));
    }

    #[test]
    fn a_host_hears_exactly_one_subscription_per_control_subject(root in root(), subject in control(), me in host()) {
        let rendered = subject.render(&root);
        let heard = root.subscriptions(&me).iter().filter(|s| matches(&s.subject, &rendered)).count();
        let mine = match &subject {
            ControlSubject::Command(host, _)
            | ControlSubject::GetInventory(host)
            | ControlSubject::AskWhy(host)
            | ControlSubject::PutLabel(host)
            | ControlSubject::DeleteLabel(host) => *host == me,
            _ => true,
        };
        prop_assert_eq!(heard, usize::from(mine));
    }

    #[test]
    fn rpc_subjects_round_trip(lattice in lattice_id(), subject in rpc()) {
        prop_assert_eq!(RpcSubject::parse(&lattice, &subject.render(&lattice)), Ok(subject));
    }

    #[test]
    fn subjects_of_another_lattice_are_elsewhere(a in lattice_id(), b in lattice_id(), c in control(), r in rpc()) {
        prop_assume!(a != b);
        let (root_a, root_b) = (ControlRoot::new(a.clone()), ControlRoot::new(b.clone()));
        let elsewhere = |error: SubjectError| error.code() == "subject_elsewhere";
        prop_assert!(ControlSubject::parse(&root_b, &c.render(&root_a)).is_err_and(elsewhere));
        prop_assert!(RpcSubject::parse(&b, &r.render(&a)).is_err_and(elsewhere));
    }

    #[test]
    fn whatever_parses_renders_to_the_same_text_or_is_the_clear_alias(tail in "[a-zA-Z0-9.]{0,40}|(get|config|cmd|labels|linkdefs)(\\.(put|del|clear|config|x|inv|)){0,4}") {
        let root = ControlRoot::new(LatticeId::default());
        let text = format!("{root}.{tail}");
        if let Ok(subject) = ControlSubject::parse(&root, &text) {
            let alias = matches!(subject, ControlSubject::ClearConfig(_)) && tail.starts_with("config.del.");
            prop_assert!(alias || subject.render(&root) == text, "{text} -> {subject:?}");
        }
    }

    #[test]
    fn keys_of_lattice_state_round_trip(raw in any::<[u8; 32]>(), link in "[0-9A-F]{64}") {
        for kind in [KeyKind::Module, KeyKind::Service] {
            let key = LatticeKey::Claims(PublicKey::from_raw(kind, raw));
            prop_assert_eq!(LatticeKey::parse(&key.render()), Some(key));
        }
        let key = LatticeKey::Link(link.parse().unwrap());
        prop_assert_eq!(key.render(), format!("LINKDEF_{link}"));
        prop_assert_eq!(LatticeKey::parse(&key.render()), Some(key));
    }

    #[test]
    fn keys_of_configuration_round_trip(raw in any::<[u8; 32]>(), name in "[a-z_]{1,20}") {
        let entity = PublicKey::from_raw(KeyKind::Module, raw);
        let key = subject::config_key(&entity, &name);
        prop_assert_eq!(subject::parse_config_key(&key), Some((entity, name.as_str())));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let lattice = LatticeId::default();
        let root = ControlRoot::new(lattice.clone());
        let _ = ControlSubject::parse(&root, &text);
        let _ = ControlSubject::parse(&root, &format!("{root}.{text}"));
        let _ = RpcSubject::parse(&lattice, &format!("wasmbus.rpc.default.{text}"));
        let _ = subject::parse_event(&lattice, &format!("wasmbus.evt.default.{text}"));
        let _ = LatticeKey::parse(&text);
        let _ = subject::parse_config_key(&text);
    }
}

const HOST: &str = "ND6ZWXTMTLBBXIOOEH3I7VQ4R6OVLAXCQDD4VE3RVWI272GHKXEDUZEM";
const ACTOR: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";
const PROVIDER: &str = "VCIHDJH2WGDSNNZUZY6RAIR7ECZNW4GRWMYGBDZCOMXPTIRRX37CSZRH";

#[test]
fn control_subjects_are_spelled_as_other_hosts_spell_them() {
    let root = ControlRoot::new("l".parse().unwrap());
    let host: HostId = HOST.parse().unwrap();
    let entry = || ConfigKey { entity: ACTOR.to_owned(), key: "k".to_owned() };
    let command = |command| ControlSubject::Command(host, command);
    for (subject, tail) in [
        (ControlSubject::PingHosts, "ping.hosts".to_owned()),
        (ControlSubject::AuctionActor, "auction.actor".to_owned()),
        (ControlSubject::AuctionProvider, "auction.provider".to_owned()),
        (command(HostCommand::ScaleActor), format!("cmd.{HOST}.scale")),
        (command(HostCommand::StopActor), format!("cmd.{HOST}.sa")),
        (command(HostCommand::UpdateActor), format!("cmd.{HOST}.upd")),
        (command(HostCommand::StartProvider), format!("cmd.{HOST}.lp")),
        (command(HostCommand::StopProvider), format!("cmd.{HOST}.sp")),
        (command(HostCommand::StopHost), format!("cmd.{HOST}.stop")),
        (ControlSubject::GetInventory(host), format!("get.{HOST}.inv")),
        (ControlSubject::AskWhy(host), format!("get.{HOST}.why")),
        (ControlSubject::PutLabel(host), format!("labels.{HOST}.put")),
        (ControlSubject::DeleteLabel(host), format!("labels.{HOST}.del")),
        (ControlSubject::PutRegistries, "registries.put".to_owned()),
        (ControlSubject::PutLink, "linkdefs.put".to_owned()),
        (ControlSubject::DeleteLink, "linkdefs.del".to_owned()),
        (ControlSubject::GetClaims, "get.claims".to_owned()),
        (ControlSubject::GetLinks, "get.links".to_owned()),
        (ControlSubject::PutConfig(entry()), format!("config.put.{ACTOR}.k")),
        (ControlSubject::DeleteConfig(entry()), format!("config.del.{ACTOR}.k")),
        (ControlSubject::ClearConfig(ACTOR.to_owned()), format!("config.clear.{ACTOR}")),
        (ControlSubject::GetConfig(entry()), format!("get.config.{ACTOR}.k")),
        (ControlSubject::GetAllConfig(ACTOR.to_owned()), format!("get.config.{ACTOR}")),
        (ControlSubject::PutRevocations, "revocations.put".to_owned()),
        (ControlSubject::GetRevocations, "revocations.get".to_owned()),
        (ControlSubject::PutOwner, "owners.put".to_owned()),
    ] {
        assert_eq!(subject.render(&root), format!("wasmbus.ctl.l.{tail}"));
    }
}

#[test]
fn subscriptions_and_queue_groups_are_those_of_other_hosts() {
    let host: HostId = HOST.parse().unwrap();
    let table = |root: &ControlRoot| -> Vec<(String, Option<String>)> {
        root.subscriptions(&host).into_iter().map(|s| (s.subject, s.queue_group)).collect()
    };
    let expected = |root: &str| -> Vec<(String, Option<String>)> {
        [
            ("ping.hosts".to_owned(), None),
            ("auction.>".to_owned(), None),
            (format!("cmd.{HOST}.*"), None),
            (format!("get.{HOST}.inv"), None),
            (format!("get.{HOST}.why"), None), // ours alone
            (format!("labels.{HOST}.*"), None),
            ("registries.put".to_owned(), None),
            ("linkdefs.*".to_owned(), Some("linkdefs")),
            ("get.*".to_owned(), Some("get")),
            ("config.>".to_owned(), Some("config")),
            ("get.config.>".to_owned(), Some("get.config")),
            ("revocations.*".to_owned(), Some("revocations")), // ours alone
            ("owners.*".to_owned(), Some("owners")),           // as well
        ]
        .into_iter()
        .map(|(tail, group)| (format!("{root}.{tail}"), group.map(|group| format!("{root}.{group}"))))
        .collect()
    };
    assert_eq!(table(&ControlRoot::new("l".parse().unwrap())), expected("wasmbus.ctl.l"));
    let prefixed = ControlRoot::with_prefix("acme.ctl", "l".parse().unwrap()).unwrap();
    assert_eq!(table(&prefixed), expected("acme.ctl.l"));
}

#[test]
fn a_topic_prefix_is_plain_tokens() {
    for bad in ["", ".", "a.", ".a", "a..b", "a.*", "a.>", "a b"] {
        let error = ControlRoot::with_prefix(bad, LatticeId::default()).unwrap_err();
        assert_eq!(error.code(), "invalid_subject_prefix", "{bad:?}");
    }
}

#[test]
fn what_nobody_handles_is_an_unsupported_subject() {
    let root = ControlRoot::new(LatticeId::default());
    for tail in [
        "",
        "ping",
        "ping.hosts.x",
        "get.x",
        "linkdefs.list",
        "revocations.x",
        "config.put.x",
        "get.config",
        "a.b.c.d.e.f",
        ".",
    ] {
        let error = ControlSubject::parse(&root, &format!("{root}.{tail}")).unwrap_err();
        assert_eq!(error.to_string(), "unsupported subject", "{tail:?}");
    }
    let error = ControlSubject::parse(&root, &format!("{root}.cmd.{ACTOR}.scale")).unwrap_err();
    assert_eq!(error.to_string(), format!("`{ACTOR}` is not a valid host id"));
}

#[test]
fn a_delete_of_configuration_without_a_key_is_read_as_clear() {
    let root = ControlRoot::new(LatticeId::default());
    assert_eq!(
        ControlSubject::parse(&root, &format!("{root}.config.del.{ACTOR}")),
        Ok(ControlSubject::ClearConfig(ACTOR.to_owned()))
    );
}

#[test]
fn rpc_subjects_and_queue_groups_are_spelled_as_other_hosts_spell_them() {
    let lattice: LatticeId = "l".parse().unwrap();
    let actor = RpcSubject::Actor(ACTOR.parse().unwrap());
    assert_eq!(actor.render(&lattice), format!("wasmbus.rpc.l.{ACTOR}"));
    assert_eq!(actor.queue_group(&lattice), Some(actor.render(&lattice)));
    let (id, link_name) = (PROVIDER.parse().unwrap(), LinkName::default());
    let provider = RpcSubject::Provider { id, link_name: link_name.clone() };
    assert_eq!(provider.queue_group(&lattice).as_deref(), Some("rpc"));
    for (subject, tail) in [
        (provider, ""),
        (RpcSubject::LinkPut { id, link_name: link_name.clone() }, ".linkdefs.put"),
        (RpcSubject::LinkDel { id, link_name: link_name.clone() }, ".linkdefs.del"),
        (RpcSubject::Health { id, link_name: link_name.clone() }, ".health"),
        (RpcSubject::Shutdown { id, link_name }, ".shutdown"),
    ] {
        assert_eq!(subject.render(&lattice), format!("wasmbus.rpc.l.{PROVIDER}.default{tail}"));
        assert!(tail.is_empty() || subject.queue_group(&lattice).is_none(), "every provider process hears {tail}");
    }
}

#[test]
fn sessions_have_subjects_of_the_host_that_nobody_shares() {
    let lattice: LatticeId = "l".parse().unwrap();
    let host = HostId::try_from(PublicKey::from_raw(KeyKind::Server, [1; 32])).unwrap();
    let subjects = [RpcSubject::Session, RpcSubject::Calls, RpcSubject::Answers, RpcSubject::Seen, RpcSubject::Relay]
        .map(|of: fn(HostId) -> RpcSubject| of(host));
    for (subject, tail) in subjects.into_iter().zip(["session", "calls", "answers", "seen", "relay.call"]) {
        assert_eq!(subject.render(&lattice), format!("wasmbus.rpc.l.{host}.{tail}"));
        assert_eq!(subject.queue_group(&lattice), None);
    }
    let other = RpcSubject::parse(&lattice, &format!("wasmbus.rpc.l.{host}.other"));
    assert_eq!(other.unwrap_err().code(), "unsupported_subject");
}

#[test]
fn names_of_buckets_and_objects_are_those_of_other_hosts() {
    let lattice: LatticeId = "l".parse().unwrap();
    assert_eq!(subject::lattice_bucket(&lattice), "LATTICEDATA_l");
    assert_eq!(subject::config_bucket(&lattice), "CONFIGDATA_l");
    assert_eq!(subject::revocation_bucket(&lattice), "REVOCATIONS_l");
    assert_eq!(subject::object_bucket(&lattice), "l");
    assert_eq!(subject::request_object("1-2"), "1-2");
    assert_eq!(subject::response_object("1-2"), "1-2-r");
}

#[test]
fn an_ownership_record_has_a_key_of_its_own() {
    let (actor, cluster) =
        (PublicKey::from_raw(KeyKind::Module, [1; 32]), PublicKey::from_raw(KeyKind::Cluster, [2; 32]));
    let key = subject::owner_key(&actor, &cluster);
    assert_eq!(key, format!("OWNER_{actor}_{cluster}"));
    assert!(subject::is_owner_key(&key));
    assert_eq!(subject::owned_by_key(&key), Some(actor));
    let list = subject::revocation_key(&cluster, "abc");
    assert!(!subject::is_owner_key(&list) && subject::owned_by_key(&list).is_none());
}

#[test]
fn a_revocation_list_has_a_key_of_its_own() {
    let account = PublicKey::from_raw(KeyKind::Account, [1; 32]);
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // of "abc", FIPS 180-2
    assert_eq!(subject::revocation_key(&account, "abc"), format!("{account}_{digest}"));
    assert_ne!(subject::revocation_key(&account, "abd"), subject::revocation_key(&account, "abc"));
}

#[test]
fn keys_of_other_makers_are_skipped() {
    for key in ["", "LINKDEF", "LINKDEF_", "LINKDEF_b4", "CLAIMS_Mbob", "REFMAP_x", &format!("claims_{ACTOR}")] {
        assert_eq!(LatticeKey::parse(key), None, "{key:?}");
    }
}
