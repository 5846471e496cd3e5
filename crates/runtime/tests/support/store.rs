//! A provider of `wasmcloud:keyvalue` that is a map, with the operations of ours.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use contracts::{
    CallError, codec,
    keyvalue::{
        COMPARE_AND_SWAP, CONTAINS, CompareAndSwapRequest, CompareAndSwapResponse, DEL, GET, GetResponse, INCREMENT,
        IncrementRequest, LIST_KEYS, ListKeysRequest, ListKeysResponse, SET, SetRequest, Value,
    },
};
use runtime::OutboundCall;

/// A store of the contract, one for all links.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<BTreeMap<String, Value>>>);

fn answer<T: serde::Serialize>(value: &T) -> Result<Bytes, CallError> {
    codec::encode(value).map(Bytes::from)
}

impl Store {
    pub fn with(entries: &[(&str, &str)]) -> Self {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value)));
        Self(Arc::new(Mutex::new(entries.collect())))
    }

    pub fn get(&self, key: &str) -> Option<Value> {
        self.0.lock().unwrap().get(key).cloned()
    }

    pub fn serve(&self, call: &OutboundCall) -> Result<Bytes, CallError> {
        let mut entries = self.0.lock().unwrap();
        let key = || codec::decode::<String>("key", &call.payload);
        match call.operation.as_str() {
            GET => {
                let value = entries.get(&key()?).cloned();
                answer(&GetResponse { exists: value.is_some(), value: value.unwrap_or_default() })
            }
            SET => {
                let SetRequest { key, value, expires: 0 } = codec::decode("set", &call.payload)? else { panic!() };
                entries.insert(key, value);
                Ok(Bytes::new())
            }
            DEL => answer(&entries.remove(&key()?).is_some()),
            CONTAINS => answer(&entries.contains_key(&key()?)),
            INCREMENT => {
                let IncrementRequest { key, value } = codec::decode("increment", &call.payload)?;
                let before = entries.get(&key).map_or(0, |value| value.as_text().unwrap().parse::<i64>().unwrap());
                entries.insert(key, (before + value).to_string().into());
                answer(&(before + value))
            }
            LIST_KEYS => {
                let ListKeysRequest { cursor, limit } = codec::decode("list", &call.payload)?;
                assert!(limit > 0);
                // Pages of one, so that cursors matter.
                let mut keys = entries.keys().filter(|key| Some(*key) > cursor.as_ref()).cloned();
                let page: Vec<String> = keys.next().into_iter().collect();
                let cursor = keys.next().and(page.first().cloned());
                answer(&ListKeysResponse { keys: page, cursor })
            }
            COMPARE_AND_SWAP => {
                let CompareAndSwapRequest { key, expected, value } = codec::decode("swap", &call.payload)?;
                let swapped = entries.get(&key) == expected.as_ref();
                if swapped {
                    entries.insert(key.clone(), value);
                }
                answer(&CompareAndSwapResponse { swapped, current: entries.get(&key).cloned() })
            }
            other => panic!("unexpected {other}"),
        }
    }
}
