//! `wasmcloud:bus`: calls with streams, and the choice of links.

use std::{
    slice::from_ref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::{CallError, codec, keyvalue};
use runtime::{CallContext, GuestLimits, Outbound, OutboundCall, OutboundTarget};

use crate::script::{Arg, Script, call_once, link, text};
use crate::support::{self, context, limits};

const HOST: &str = "wasmcloud:bus/host";
const LATTICE: &str = "wasmcloud:bus/lattice";
const STREAMS: &str = "wasi:io/streams@0.2.0";
const POLL: &str = "wasi:io/poll@0.2.0";
const WRITE: &str = "[method]output-stream.blocking-write-and-flush";

fn default_target() -> Vec<Arg> {
    vec![Arg::I32(0); 5]
}

fn to_link(name: &str) -> Vec<Arg> {
    vec![Arg::I32(1), Arg::I32(0), Arg::I32(1), text(name)]
}

fn to_alias(name: &str) -> Vec<Arg> {
    vec![Arg::I32(1), Arg::I32(1), Arg::I32(1), text(name)]
}

/// `ok` begins with its number; the handle, the stream of the result and the one of the argument follow.
fn begin(script: &mut Script, target: &[Arg], operation: &str) -> (Arg, Arg, Arg) {
    let begun = script.call(HOST, "call", &[target, &[text(operation)]].concat());
    script.tell(begun, 0, 1);
    (begun.at(4), begun.at(8), begun.at(12))
}

fn shout(call: &OutboundCall) -> Result<Bytes, CallError> {
    Ok(call.payload.to_ascii_uppercase().into())
}

#[tokio::test]
async fn a_call_with_streams_begins_when_its_argument_is_complete() {
    let mut script = Script::new();
    let (future, result, argument) = begin(&mut script, &to_link("b"), "a:b/Service.Shout");
    script.call(STREAMS, WRITE, &[argument.clone(), text("hel")]);
    script.call(STREAMS, WRITE, &[argument.clone(), text("lo")]);
    let early = script.call(HOST, "future-result-get", from_ref(&future));
    script.tell(early, 0, 1);
    let nothing = script.call(STREAMS, "[method]input-stream.read", &[result.clone(), Arg::I64(9)]);
    script.tell(nothing, 0, 1);
    script.tell(nothing, 8, 4);
    script.drop(STREAMS, "output-stream", argument);
    let pollable = script.call(HOST, "listen-to-future-result", from_ref(&future)).at(0);
    script.call(POLL, "[method]pollable.block", from_ref(&pollable));
    script.drop(POLL, "pollable", pollable);
    let ended = script.call(HOST, "future-result-get", from_ref(&future));
    script.tell(ended, 0, 1);
    script.tell(ended, 4, 1);
    for len in [4, 4] {
        let read = script.call(STREAMS, "[method]input-stream.blocking-read", &[result.clone(), Arg::I64(len)]);
        script.tell_list(read, 4);
    }
    let end = script.call(STREAMS, "[method]input-stream.read", &[result.clone(), Arg::I64(1)]);
    // err, `closed`
    script.tell(end, 0, 1);
    script.tell(end, 4, 1);
    script.drop(STREAMS, "input-stream", result);
    script.call(HOST, "drop-future-result", &[future]);
    let told = script.run(|call| {
        assert_eq!((&call.target, call.operation.as_str()), (&link("a:b", "b"), "Service.Shout"));
        shout(&call)
    });
    let zero = 0u32.to_le_bytes();
    let expected = [&b"\0"[..], b"\0", b"\0", &zero, b"\x01", b"\0", b"HELL", b"O", b"\x01", b"\x01"];
    assert_eq!(told.await.unwrap(), expected);
}

#[tokio::test]
async fn a_call_that_fails_says_so_in_its_future_and_ends_its_stream() {
    let mut script = Script::new();
    let (future, result, argument) = begin(&mut script, &default_target(), "a:b/Service.Fail");
    script.drop(STREAMS, "output-stream", argument);
    let end = script.call(STREAMS, "[method]input-stream.blocking-read", &[result, Arg::I64(1)]);
    script.tell(end, 0, 1);
    let ended = script.call(HOST, "future-result-get", &[future]);
    script.tell(ended, 4, 1);
    script.tell_list(ended, 8);
    let told = script.run(|_| Err(CallError::Reported { message: "boom".to_owned() }));
    assert_eq!(told.await.unwrap(), [&b"\0"[..], b"\x01", b"\x01", b"boom"]);
}

#[tokio::test]
async fn a_call_without_a_contract_or_an_actor_does_not_begin() {
    let mut script = Script::new();
    let begun = script.call(HOST, "call", &[default_target(), vec![text("Service.Do")]].concat());
    script.tell(begun, 0, 1);
    script.tell_list(begun, 4);
    let told = script.run(|_| panic!("nothing is called")).await.unwrap();
    let text = "malformed operation: `Service.Do` does not say its contract, expected `contract/operation`";
    assert_eq!(told, [&b"\x01"[..], text.as_bytes()]);
}

#[tokio::test]
async fn the_argument_of_a_call_is_bounded_and_calls_are_counted() {
    let mut script = Script::new();
    let (_, _, argument) = begin(&mut script, &default_target(), "a:b/S.D");
    let whole = script.call(STREAMS, WRITE, &[argument.clone(), Arg::Bytes(vec![b'x'; 16])]);
    script.tell(whole, 0, 1);
    let more = script.call(STREAMS, WRITE, &[argument, text("x")]);
    script.tell(more, 0, 1);
    script.tell(more, 4, 1);
    let guest = script.try_load(&[], GuestLimits { payload_bytes: 16, ..limits() }).await.unwrap();
    let told = call_once(&guest, "Run", Bytes::new(), |_| panic!("nothing is called")).await.unwrap();
    // err, `closed`
    assert_eq!(told, [&b"\0"[..], b"\0", b"\x01", b"\x01"]);

    let mut script = Script::new();
    for _ in 0..3 {
        script.call(HOST, "call", &[default_target(), vec![text("a:b/S.D")]].concat());
    }
    let guest = script.try_load(&[], GuestLimits { host_calls_per_call: 2, ..limits() }).await.unwrap();
    let error = call_once(&guest, "Run", Bytes::new(), |_| panic!("nothing is called")).await.unwrap_err();
    assert_eq!(error, CallError::LimitExceeded { limit: "`host_calls_per_call` of 2".to_owned() });
}

#[tokio::test]
async fn handles_that_a_guest_makes_up_end_it_and_nothing_else() {
    for function in ["drop-future-result", "future-result-get", "listen-to-future-result"] {
        let mut script = Script::new();
        // A handle of another kind, which is in the table.
        script.call(LATTICE, "[static]target-interface.wasi-keyvalue-atomic", &[]);
        script.call(HOST, function, &[Arg::I32(0)]);
        let error = script.run(|_| panic!("nothing is called")).await.unwrap_err();
        assert_eq!(error.code(), "trap", "{function}: {error}");
        assert!(error.to_string().contains("`future-result` 0"), "{error}");
    }
    support::neighbour_answers().await;
}

const EVENTUAL: &str = "wasi:keyvalue/eventual@0.1.0";
const STORE: &str = "wasi:keyvalue/store@0.2.0-draft";

fn chosen(script: &mut Script, target: &[Arg], interfaces: &[Arg]) {
    let list = script.place(&vec![0; interfaces.len() * 4]);
    for (index, interface) in interfaces.iter().enumerate() {
        script.copy(interface.clone(), list + 4 * u32::try_from(index).unwrap());
    }
    let list = [Arg::I32(list), Arg::I32(u32::try_from(interfaces.len()).unwrap())];
    script.call(LATTICE, "set-target", &[target, &list].concat());
}

#[tokio::test]
async fn a_chosen_target_holds_for_the_interfaces_it_names_until_it_is_taken_back() {
    let mut script = Script::new();
    let old = script.call("wasi:keyvalue/types@0.1.0", "[static]bucket.open-bucket", &[text("")]).at(4);
    let new = script.call(STORE, "open", &[text("")]).at(4);
    let named = script.call(STORE, "open", &[text("cache")]).at(4);
    let ask = |script: &mut Script, key: &str| {
        script.call(EVENTUAL, "exists", &[old.clone(), text(key)]);
        script.call(STORE, "[method]bucket.exists", &[new.clone(), text(key)]);
        script.call(STORE, "[method]bucket.exists", &[named.clone(), text(key)]);
    };
    let interface = |script: &mut Script| {
        let eventual = script.call(LATTICE, "[static]target-interface.wasi-keyvalue-eventual", &[]).at(0);
        let parts = [text("wasi"), text("keyvalue"), text("store")];
        [eventual, script.call(LATTICE, "[constructor]target-interface", &parts).at(0)]
    };
    ask(&mut script, "1");
    let both = interface(&mut script);
    chosen(&mut script, &to_link("other"), &both);
    ask(&mut script, "2");
    let [eventual, _] = interface(&mut script);
    chosen(&mut script, &to_alias("greeter"), &[eventual]);
    ask(&mut script, "3");
    let both = interface(&mut script);
    chosen(&mut script, &default_target(), &both);
    ask(&mut script, "4");

    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let answer = move |call: OutboundCall| {
        let key: String = codec::decode("key", &call.payload)?;
        seen.lock().unwrap().push((key, call.target));
        codec::encode(&true).map(Bytes::from)
    };
    script.run(answer).await.unwrap();
    let to = |name: &str| link(keyvalue::CONTRACT, name);
    let greeter = OutboundTarget::Actor { name: "greeter".to_owned() };
    let targets = [
        ("1", [to("default"), to("default"), to("cache")]),
        ("2", [to("other"), to("other"), to("cache")]),
        ("3", [greeter, to("other"), to("cache")]),
        ("4", [to("default"), to("default"), to("cache")]),
    ];
    let expected = targets.into_iter().flat_map(|(key, targets)| targets.map(|target| (key.to_owned(), target)));
    assert_eq!(*asked.lock().unwrap(), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_target_for_an_interface_that_calls_nobody_has_no_effect() {
    let mut script = Script::new();
    let logging = script.call(LATTICE, "[static]target-interface.wasi-logging-logging", &[]).at(0);
    let unknown = [text("no"), text("such"), text("interface")];
    let unknown = script.call(LATTICE, "[constructor]target-interface", &unknown).at(0);
    chosen(&mut script, &to_link("other"), &[logging, unknown]);
    let exists = script.call(STORE, "open", &[text("")]).at(4);
    script.call(STORE, "[method]bucket.exists", &[exists, text("k")]);
    let told = script.run(|call| {
        assert_eq!(call.target, link(keyvalue::CONTRACT, "default"));
        codec::encode(&true).map(Bytes::from)
    });
    told.await.unwrap();
}

/// An outbound whose calls wait for each other, and which knows how many are under way; `S.Begun` waits for two.
struct Together {
    barrier: tokio::sync::Barrier,
    under_way: Arc<AtomicUsize>,
}

#[async_trait]
impl Outbound for Together {
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
        struct UnderWay(Arc<AtomicUsize>);
        impl Drop for UnderWay {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        if call.operation == "S.Begun" {
            while self.under_way.load(Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            return Ok(Bytes::new());
        }
        self.under_way.fetch_add(1, Relaxed);
        let _under_way = UnderWay(self.under_way.clone());
        self.barrier.wait().await;
        Ok(Bytes::new())
    }
}

/// Begins two calls and completes their arguments; the future of the first.
fn begin_two(script: &mut Script) -> Arg {
    let begun = [(); 2].map(|()| script.call(HOST, "call", &[default_target(), vec![text("a:b/S.D")]].concat()));
    for call in begun {
        script.drop(STREAMS, "output-stream", call.at(12));
    }
    begun[0].at(4)
}

async fn run_together(script: Script, calls: usize) -> (Result<Bytes, CallError>, Arc<AtomicUsize>) {
    let guest = script.try_load(&[], limits()).await.unwrap();
    let under_way = Arc::new(AtomicUsize::new(0));
    let outbound = Together { barrier: tokio::sync::Barrier::new(calls), under_way: under_way.clone() };
    let context = CallContext { outbound: Arc::new(outbound), ..context() };
    (guest.call("Run", Bytes::new(), context).await, under_way)
}

#[tokio::test]
async fn calls_of_one_guest_go_on_side_by_side() {
    let mut script = Script::new();
    let first = begin_two(&mut script);
    let pollable = script.call(HOST, "listen-to-future-result", &[first]).at(0);
    script.call(POLL, "[method]pollable.block", &[pollable]);
    let (ended, _) = run_together(script, 2).await;
    assert_eq!(ended, Ok(Bytes::new()));
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_ends_with_the_instance() {
    let mut script = Script::new();
    begin_two(&mut script);
    // Returns when both are under way; they wait for a third that never comes.
    script.call(HOST, "call-sync", &[default_target(), vec![text("a:b/S.Begun"), text("")]].concat());
    let (ended, under_way) = run_together(script, 3).await;
    assert_eq!(ended, Ok(Bytes::new()));
    let over = async {
        while under_way.load(Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), over).await.expect("the calls end");
}
