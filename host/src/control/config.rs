//! `config.…` and `get.config.…`: opaque settings of actors and providers (protocol section 3.3).

use bytes::Bytes;
use lattice::{
    control::{Ack, ConfigValue, ConfigValues, INVALID_CONFIG_ENTITY, config_entity, encode},
    subject::ConfigKey,
};

use crate::{core::Core, reason::reason, store::StoreError};

/// Sets an entry.
pub async fn put(core: &Core, key: &ConfigKey, body: &Bytes) -> Ack {
    let Some(entity) = config_entity(&key.entity) else { return Ack::refused(INVALID_CONFIG_ENTITY) };
    answer(core, core.store.put_config(core.standing(&entity), &entity, &key.key, body.clone()).await)
}

/// Removes an entry; an unknown one is fine.
pub async fn delete(core: &Core, key: &ConfigKey) -> Ack {
    let Some(entity) = config_entity(&key.entity) else { return Ack::refused(INVALID_CONFIG_ENTITY) };
    answer(core, core.store.delete_config(core.standing(&entity), &entity, &key.key).await)
}

/// Removes every entry of an actor or provider.
pub async fn clear(core: &Core, entity: &str) -> Ack {
    let Some(entity) = config_entity(entity) else { return Ack::refused(INVALID_CONFIG_ENTITY) };
    let names: Vec<String> = core.tables().config_of(entity.as_str()).into_iter().map(|(name, _)| name).collect();
    for name in names {
        let standing = core.standing(&entity);
        if let Err(error) = core.store.delete_config(standing, &entity, &name).await {
            return Ack::refused(reason(&error));
        }
    }
    core.store.kept()
}

/// One entry.
pub fn get(core: &Core, key: &ConfigKey) -> Vec<u8> {
    let value = core.tables().config_of(&key.entity).into_iter().find(|(name, _)| *name == key.key);
    let reply = match value {
        Some((_, data)) => ConfigValue { found: true, data: data.to_vec() },
        None => ConfigValue::default(),
    };
    encode(&reply)
}

/// Every entry of an actor or provider.
pub fn get_all(core: &Core, entity: &str) -> Vec<u8> {
    let values = core.tables().config_of(entity).into_iter().map(|(name, data)| (name, data.to_vec())).collect();
    encode(&ConfigValues(values))
}

fn answer(core: &Core, written: Result<(), StoreError>) -> Ack {
    match written {
        Ok(()) => core.store.kept(),
        Err(error) => Ack::refused(reason(&error)),
    }
}
