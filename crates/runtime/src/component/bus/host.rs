//! `wasmcloud:bus/host`: generic calls out of a component (protocol sections 6.2 and 6.3).
//!
//! Only `call-sync` is offered; a component that needs more is refused when it is loaded. Invariant: the operation is
//! what follows the last `/`, the contract is what stands before it.

use bytes::Bytes;
use contracts::CallError;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker},
};

use super::{ComponentState, imports::Interface};
use crate::{OutboundTarget, call::HasCall};

const HOST: &str = "wasmcloud:bus/host";

/// What is linked here. Needs no grant by itself: whom it may call is decided call by call.
pub(super) const INTERFACES: &[Interface] =
    &[Interface { name: HOST, versions: &[""], functions: &["call-sync"], needs: None }];

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
enum ActorIdentifier {
    #[component(name = "public-key")]
    PublicKey(String),
    #[component(name = "alias")]
    Alias(String),
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
enum TargetEntity {
    #[component(name = "link")]
    Link(Option<String>),
    #[component(name = "actor")]
    Actor(ActorIdentifier),
}

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    linker.instance(HOST)?.func_wrap_async("call-sync", |store, arguments| Box::new(call_sync(store, arguments)))
}

type Arguments = (Option<TargetEntity>, String, Vec<u8>);

async fn call_sync(
    mut store: StoreContextMut<'_, ComponentState>,
    (target, operation, payload): Arguments,
) -> wasmtime::Result<(Result<Bytes, String>,)> {
    let call = store.data_mut().call();
    call.count_host_call(payload.len())?;
    let (target, operation) = match resolve(target, &operation) {
        Ok(resolved) => resolved,
        Err(error) => return Ok((Err(error.to_string()),)),
    };
    let outbound = call.outbound(target, operation, Bytes::from(payload));
    Ok((outbound.await.map_err(|error| error.to_string()),))
}

/// Whom, and the operation in its wire form.
fn resolve(target: Option<TargetEntity>, operation: &str) -> Result<(OutboundTarget, String), CallError> {
    let (contract, name) = match operation.rsplit_once('/') {
        Some((contract, name)) => (Some(contract), name),
        None => (None, operation),
    };
    let target = match target {
        Some(TargetEntity::Actor(ActorIdentifier::PublicKey(name) | ActorIdentifier::Alias(name))) => {
            OutboundTarget::Actor { name }
        }
        None | Some(TargetEntity::Link(_)) => {
            let Some(contract) = contract else {
                let reason = format!("`{operation:.200}` does not say its contract, expected `contract/operation`");
                return Err(CallError::Malformed { what: "operation".to_owned(), reason });
            };
            let link_name = match target {
                Some(TargetEntity::Link(Some(name))) => name,
                _ => "default".to_owned(),
            };
            OutboundTarget::Link { contract: contract.to_owned(), link_name }
        }
    };
    Ok((target, name.to_owned()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn link(contract: &str, link_name: &str) -> OutboundTarget {
        OutboundTarget::Link { contract: contract.to_owned(), link_name: link_name.to_owned() }
    }

    #[test]
    fn the_contract_is_what_stands_before_the_last_slash() {
        let (target, operation) = resolve(None, "wasmcloud:keyvalue/KeyValue.Get").unwrap();
        assert_eq!((target, operation.as_str()), (link("wasmcloud:keyvalue", "default"), "KeyValue.Get"));
        let (target, operation) = resolve(Some(TargetEntity::Link(Some("b".into()))), "a:b/c/D.E").unwrap();
        assert_eq!((target, operation.as_str()), (link("a:b/c", "b"), "D.E"));
    }

    #[test]
    fn an_actor_needs_no_contract_and_a_link_does() {
        let actor = || Some(TargetEntity::Actor(ActorIdentifier::Alias("greeter".into())));
        let expected = OutboundTarget::Actor { name: "greeter".into() };
        assert_eq!(resolve(actor(), "Greeter.Hi").unwrap(), (expected, "Greeter.Hi".to_owned()));
        assert_eq!(resolve(None, "Greeter.Hi").unwrap_err().code(), "malformed");
    }
}
