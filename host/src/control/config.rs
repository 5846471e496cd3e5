//! `config.…` and `get.config.…`: opaque settings of actors and providers (protocol section 3.3).

use bytes::Bytes;
use lattice::{
    control::{Ack, ConfigValue, ConfigValues, INVALID_CONFIG_ENTITY, config_entity, encode},
    subject::{ConfigKey, config_key},
};

use crate::{control::face::Control, process::error_chain::error_chain, state::replica::Bucket};

/// Sets an entry.
pub async fn put(control: &Control, key: &ConfigKey, body: &Bytes) -> Ack {
    write(control, key, Some(body.clone())).await
}

/// Removes an entry; an unknown one is fine.
pub async fn delete(control: &Control, key: &ConfigKey) -> Ack {
    write(control, key, None).await
}

/// Removes every entry of an actor or provider.
pub async fn clear(control: &Control, entity: &str) -> Ack {
    let Some(entity) = config_entity(entity) else { return Ack::refused(INVALID_CONFIG_ENTITY) };
    let names: Vec<String> = control.tables().config_of(entity.as_str()).into_iter().map(|(name, _)| name).collect();
    for name in names {
        let standing = control.standing(&entity);
        let outcome = control.store.write(standing, Bucket::Config, config_key(&entity, &name), None).await;
        if let Err(error) = outcome {
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

async fn write(control: &Control, key: &ConfigKey, value: Option<Bytes>) -> Ack {
    let Some(entity) = config_entity(&key.entity) else { return Ack::refused(INVALID_CONFIG_ENTITY) };
    let standing = control.standing(&entity);
    match control.store.write(standing, Bucket::Config, config_key(&entity, &key.key), value).await {
        Ok(()) => control.store.kept(),
        Err(error) => Ack::refused(error_chain(&error)),
    }
}
