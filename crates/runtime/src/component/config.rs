//! `wasi:config` and `wasmcloud:bus/guest-config`: what was configured for the actor.
//!
//! Needs no grant: the data is the actor's own. Invariant: every look-up asks the host and counts as a call out, so that
//! a guest sees what holds now and cannot ask without end.

use std::collections::BTreeMap;

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Linker, Lower},
};

use super::{interface::Interface, state::ComponentState};
use crate::call::HasCall;

/// Two names of one interface with values as text.
const TEXT: [(&str, &[&str]); 2] =
    [("wasi:config/runtime", &["@0.2.0-draft"]), ("wasi:config/store", &["@0.2.0-draft", "@0.2.0-rc.1"])];

/// The one of 0.82, with values as bytes.
const BYTES: &str = "wasmcloud:bus/guest-config";

const FUNCTIONS: &[&str] = &["get", "get-all"];

/// What is linked here.
pub(super) const INTERFACES: &[Interface] = &[
    Interface { name: TEXT[0].0, versions: TEXT[0].1, functions: FUNCTIONS, needs: None },
    Interface { name: TEXT[1].0, versions: TEXT[1].1, functions: FUNCTIONS, needs: None },
    Interface { name: BYTES, versions: &[""], functions: FUNCTIONS, needs: None },
];

/// Why there is no value; the same variant in all of them.
#[derive(Clone, Debug, ComponentType, Lower)]
#[component(variant)]
enum ConfigError {
    #[component(name = "upstream")]
    Upstream(String),
    #[expect(dead_code, reason = "part of the interface; there is nothing here to say by it")]
    #[component(name = "io")]
    Io(String),
}

type Store<'a> = StoreContextMut<'a, ComponentState>;

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    for (name, versions) in TEXT {
        for version in versions {
            let mut config = linker.instance(&format!("{name}{version}"))?;
            config.func_wrap_async("get", |store, (key,): (String,)| {
                Box::new(async move { Ok((get(store, &key).await?.and_then(|value| optional_text(&key, value)),)) })
            })?;
            config.func_wrap_async("get-all", |store, (): ()| {
                Box::new(async move {
                    let values = all(store).await?.and_then(|values| {
                        let texts = values.into_iter().map(|(key, value)| Ok((key.clone(), text(&key, value)?)));
                        texts.collect::<Result<Vec<_>, _>>()
                    });
                    Ok((values,))
                })
            })?;
        }
    }
    let mut config = linker.instance(BYTES)?;
    config
        .func_wrap_async("get", |store, (key,): (String,)| Box::new(async move { Ok((get(store, &key).await?,)) }))?;
    config.func_wrap_async("get-all", |store, (): ()| {
        Box::new(async move { Ok((all(store).await?.map(|values| values.into_iter().collect::<Vec<_>>()),)) })
    })
}

async fn all(mut store: Store<'_>) -> wasmtime::Result<Result<BTreeMap<String, Vec<u8>>, ConfigError>> {
    let call = store.data_mut().call();
    call.count_host_call(0)?;
    let config = call.outgoing().config();
    Ok(config.await.map_err(|error| ConfigError::Upstream(error.to_string())))
}

async fn get(store: Store<'_>, key: &str) -> wasmtime::Result<Result<Option<Vec<u8>>, ConfigError>> {
    Ok(all(store).await?.map(|mut values| values.remove(key)))
}

fn optional_text(key: &str, value: Option<Vec<u8>>) -> Result<Option<String>, ConfigError> {
    value.map(|value| text(key, value)).transpose()
}

fn text(key: &str, value: Vec<u8>) -> Result<String, ConfigError> {
    String::from_utf8(value).map_err(|_| ConfigError::Upstream(format!("the value of `{key:.200}` is not text")))
}
