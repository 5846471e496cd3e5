//! `config.…` and `get.config.…`: opaque settings of actors and providers (protocol section 3.3).

use bytes::Bytes;
use lattice::{
    control::{Ack, ConfigValue, ConfigValues, INVALID_CONFIG_ENTITY, config_entity, encode},
    subject::ConfigKey,
};

use lattice_state::store::StoreError;

use crate::{control::face::Control, process::error_chain::error_chain};

/// Sets an entry.
pub async fn put(control: &Control, key: &ConfigKey, body: &Bytes) -> Ack {
    let Some(entity) = config_entity(&key.entity) else { return Ack::refused(INVALID_CONFIG_ENTITY) };
    answer(control, control.store.put_config(control.standing(&entity), &entity, &key.key, body.clone()).await)
}

/// Removes an entry; an unknown one is fine.
pub async fn delete(control: &Control, key: &ConfigKey) -> Ack {
    let Some(entity) = config_entity(&key.entity) else { return Ack::refused(INVALID_CONFIG_ENTITY) };
    answer(control, control.store.delete_config(control.standing(&entity), &entity, &key.key).await)
}

/// Removes every entry of an actor or provider.
pub async fn clear(control: &Control, entity: &str) -> Ack {
    let Some(entity) = config_entity(entity) else { return Ack::refused(INVALID_CONFIG_ENTITY) };
    let names: Vec<String> = control.tables().config_of(entity.as_str()).into_iter().map(|(name, _)| name).collect();
    for name in names {
        let standing = control.standing(&entity);
        if let Err(error) = control.store.delete_config(standing, &entity, &name).await {
            return Ack::refused(error_chain(&error));
        }
    }
    control.store.kept()
}

/// One entry.
pub fn get(control: &Control, key: &ConfigKey) -> Vec<u8> {
    let value = control.tables().config_of(&key.entity).into_iter().find(|(name, _)| *name == key.key);
    let reply = match value {
        Some((_, data)) => ConfigValue { found: true, data: data.to_vec() },
        None => ConfigValue::default(),
    };
    encode(&reply)
}

/// Every entry of an actor or provider.
pub fn get_all(control: &Control, entity: &str) -> Vec<u8> {
    let values = control.tables().config_of(entity).into_iter().map(|(name, data)| (name, data.to_vec())).collect();
    encode(&ConfigValues(values))
}

fn answer(control: &Control, written: Result<(), StoreError>) -> Ack {
    match written {
        Ok(()) => control.store.kept(),
        Err(error) => Ack::refused(error_chain(&error)),
    }
}
