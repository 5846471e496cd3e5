//! `wasmcloud:bus/guest-config` and `wasi:config`: what was configured for the actor.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::CallError;
use runtime::{CallContext, GuestLimits, Outbound, OutboundCall};

use crate::script::{Arg, Script, TOLD, text};
use crate::support::{context, limits};

const CONFIG: &str = "wasmcloud:bus/guest-config";

/// An outbound with a configuration, which keeps what the guest told.
struct Configured {
    config: Result<BTreeMap<String, Vec<u8>>, CallError>,
    told: Arc<Mutex<Vec<Bytes>>>,
}

#[async_trait]
impl Outbound for Configured {
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
        assert_eq!(call.operation, TOLD);
        self.told.lock().unwrap().push(call.payload);
        Ok(Bytes::new())
    }

    async fn config(&self) -> Result<BTreeMap<String, Vec<u8>>, CallError> {
        self.config.clone()
    }
}

async fn run_configured(
    script: Script,
    limits: GuestLimits,
    config: Result<&[(&str, &[u8])], CallError>,
) -> Result<Vec<Bytes>, CallError> {
    let config = config.map(|config| config.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect());
    let told = Arc::new(Mutex::new(Vec::new()));
    let guest = script.try_load(&[], limits).await.unwrap();
    let outbound = Arc::new(Configured { config, told: told.clone() });
    guest.call("Run", Bytes::new(), CallContext { outbound, ..context() }).await?;
    let told = std::mem::take(&mut *told.lock().unwrap());
    Ok(told)
}

#[tokio::test]
async fn what_was_configured_is_found_by_name_as_bytes_and_as_text() {
    for interface in [CONFIG, "wasi:config/runtime@0.2.0-draft", "wasi:config/store@0.2.0-rc.1"] {
        let mut script = Script::new();
        let found = script.call(interface, "get", &[text("color")]);
        script.tell(found, 0, 1);
        script.tell(found, 4, 1);
        script.tell_list(found, 8);
        let missing = script.call(interface, "get", &[text("size")]);
        script.tell(missing, 0, 1);
        script.tell(missing, 4, 1);
        let all = script.call(interface, "get-all", &[]);
        script.tell(all, 0, 1);
        script.tell(all, 8, 4);
        let config: [(&str, &[u8]); 2] = [("color", b"red"), ("shape", b"round")];
        let told = run_configured(script, limits(), Ok(&config)).await.unwrap();
        let two = 2u32.to_le_bytes();
        assert_eq!(told, [&b"\0"[..], b"\x01", b"red", b"\0", b"\0", b"\0", &two], "{interface}");
    }
}

#[tokio::test]
async fn a_value_that_is_no_text_is_an_error_where_text_is_asked_for() {
    let mut script = Script::new();
    let found = script.call(CONFIG, "get", &[text("key")]);
    script.tell_list(found, 8);
    for function in ["get", "get-all"] {
        let arguments: &[Arg] = if function == "get" { &[text("key")] } else { &[] };
        let found = script.call("wasi:config/store@0.2.0-rc.1", function, arguments);
        // err, `upstream`
        script.tell(found, 0, 1);
        script.tell(found, 4, 1);
        script.tell_list(found, 8);
    }
    let told = run_configured(script, limits(), Ok(&[("key", b"\xff")])).await.unwrap();
    let error = [&b"\x01"[..], b"\0", b"the value of `key` is not text"];
    assert_eq!(told, [&[&b"\xff"[..]], &error[..], &error[..]].concat());
}

#[tokio::test]
async fn configuration_that_cannot_be_read_or_is_too_large_is_an_error() {
    let ask = || {
        let mut script = Script::new();
        let found = script.call(CONFIG, "get", &[text("key")]);
        script.tell(found, 0, 1);
        script.tell_list(found, 8);
        script
    };
    let gone = Err(CallError::Reported { message: "gone".to_owned() });
    assert_eq!(run_configured(ask(), limits(), gone).await.unwrap(), [&b"\x01"[..], b"gone"]);
    let small = GuestLimits { response_bytes: 4, ..limits() };
    let told = run_configured(ask(), small, Ok(&[("key", b"xx")])).await.unwrap();
    assert_eq!(told, [&b"\x01"[..], b"limit exceeded: result of 5 bytes, `response_bytes` of 4"]);
}

#[tokio::test]
async fn looking_up_configuration_counts_as_calling_out() {
    let mut script = Script::new();
    for _ in 0..3 {
        script.call(CONFIG, "get-all", &[]);
    }
    let limits = GuestLimits { host_calls_per_call: 2, ..limits() };
    let error = run_configured(script, limits, Ok(&[])).await.unwrap_err();
    assert_eq!(error, CallError::LimitExceeded { limit: "`host_calls_per_call` of 2".to_owned() });
}
