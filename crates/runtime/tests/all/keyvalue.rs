//! `wasi:keyvalue` in its three versions, over an outbound that is a map.

use std::slice::from_ref;

use bytes::Bytes;
use contracts::{
    CallError,
    keyvalue::{CONTRACT, LIST_KEYS},
};
use runtime::{GuestLimits, OutboundCall};

use crate::script::{Arg, Script, Slot, call_once, link, text};
use crate::store::Store;
use crate::support::limits;

const STORE: &str = "wasi:keyvalue/store@0.2.0-draft";
const STORE2: &str = "wasi:keyvalue/store@0.2.0-draft2";
const ATOMICS: &str = "wasi:keyvalue/atomics@0.2.0-draft";
const ATOMICS2: &str = "wasi:keyvalue/atomics@0.2.0-draft2";
const BATCH: &str = "wasi:keyvalue/batch@0.2.0-draft";
const BATCH2: &str = "wasi:keyvalue/batch@0.2.0-draft2";
const TYPES: &str = "wasi:keyvalue/types@0.1.0";
const EVENTUAL: &str = "wasi:keyvalue/eventual@0.1.0";
const ATOMIC: &str = "wasi:keyvalue/atomic@0.1.0";
const ERROR: &str = "wasi:keyvalue/wasi-keyvalue-error@0.1.0";

/// Opens a bucket; its handle.
fn open(script: &mut Script, store: &str, identifier: &str) -> Arg {
    script.call(store, "open", &[text(identifier)]).at(4)
}

fn open_old(script: &mut Script) -> Arg {
    script.call(TYPES, "[static]bucket.open-bucket", &[text("")]).at(4)
}

async fn run(script: Script, store: &Store) -> Vec<Bytes> {
    let store = store.clone();
    let answer = move |call: OutboundCall| {
        assert_eq!(call.target, link(CONTRACT, "default"));
        store.serve(&call)
    };
    script.run(answer).await.unwrap()
}

/// What a script told that failed in one place, with the error the host gave.
async fn run_failing(script: Script, error: CallError) -> Vec<Bytes> {
    script.run(move |_| Err(error.clone())).await.unwrap()
}

/// Tells the number of the result and, for an error of the store, its number and text.
fn tell_error(script: &mut Script, slot: Slot) {
    script.tell(slot, 0, 1);
    script.tell(slot, 4, 1);
    script.tell_list(slot, 8);
}

#[tokio::test]
async fn a_bucket_reads_writes_and_deletes() {
    for store in [STORE, STORE2] {
        let map = Store::with(&[("a", "one")]);
        let mut script = Script::new();
        let bucket = open(&mut script, store, "");
        let found = script.call(store, "[method]bucket.get", &[bucket.clone(), text("a")]);
        script.tell(found, 0, 1);
        script.tell(found, 4, 1);
        script.tell_list(found, 8);
        let missing = script.call(store, "[method]bucket.get", &[bucket.clone(), text("b")]);
        script.tell(missing, 0, 1);
        script.tell(missing, 4, 1);
        let set = script.call(store, "[method]bucket.set", &[bucket.clone(), text("b"), text("two")]);
        script.tell(set, 0, 1);
        let exists = script.call(store, "[method]bucket.exists", &[bucket.clone(), text("b")]);
        script.tell(exists, 4, 1);
        for key in ["a", "never there"] {
            let deleted = script.call(store, "[method]bucket.delete", &[bucket.clone(), text(key)]);
            script.tell(deleted, 0, 1);
        }
        let exists = script.call(store, "[method]bucket.exists", &[bucket.clone(), text("a")]);
        script.tell(exists, 4, 1);
        script.drop(store, "bucket", bucket);
        let told = run(script, &map).await;
        assert_eq!(told, [&b"\0"[..], b"\x01", b"one", b"\0", b"\0", b"\0", b"\x01", b"\0", b"\0", b"\0"], "{store}");
        assert_eq!((map.get("a"), map.get("b")), (None, Some("two".into())));
    }
}

#[tokio::test]
async fn a_value_that_is_no_text_travels_as_bytes() {
    let map = Store::default();
    let mut script = Script::new();
    let bucket = open(&mut script, STORE, "default");
    script.call(STORE, "[method]bucket.set", &[bucket.clone(), text("k"), Arg::Bytes(vec![0xff, 0, 0xfe])]);
    let value = script.call(STORE, "[method]bucket.get", &[bucket, text("k")]);
    script.tell_list(value, 8);
    assert_eq!(run(script, &map).await, [&b"\xff\0\xfe"[..]]);
}

#[tokio::test]
async fn a_provider_that_refuses_such_a_value_is_quoted() {
    let mut script = Script::new();
    let bucket = open(&mut script, STORE, "");
    let set = script.call(STORE, "[method]bucket.set", &[bucket, text("k"), Arg::Bytes(vec![0xff])]);
    tell_error(&mut script, set);
    let told = run_failing(script, CallError::Reported { message: "expected a string".to_owned() }).await;
    let text = "the provider of this link did not take a value that is no UTF-8 text: expected a string";
    assert_eq!(told, [&b"\x01"[..], b"\x02", text.as_bytes()]);
}

#[tokio::test]
async fn a_bucket_of_another_name_is_the_link_of_that_name() {
    let mut script = Script::new();
    let bucket = open(&mut script, STORE, "cache");
    let missing = script.call(STORE, "[method]bucket.exists", &[bucket, text("k")]);
    script.tell(missing, 4, 1);
    let told = script.run(|call| {
        assert_eq!(call.target, link(CONTRACT, "cache"));
        Err(CallError::NotLinked { actor: "a".into(), contract: CONTRACT.into(), link_name: "cache".into() })
    });
    // `no-such-store`
    assert_eq!(told.await.unwrap(), [&b"\0"[..]]);
}

#[tokio::test]
async fn what_claims_do_not_grant_is_access_denied() {
    let mut script = Script::new();
    let bucket = open(&mut script, STORE2, "");
    let denied = script.call(STORE2, "[method]bucket.get", &[bucket, text("k")]);
    script.tell(denied, 4, 1);
    let error = CallError::NotGranted { caller: "a".into(), contract: CONTRACT.into() };
    assert_eq!(run_failing(script, error).await, [&b"\x01"[..]]);
}

#[tokio::test]
async fn keys_are_listed_page_by_page_whatever_the_cursor_is() {
    let map = Store::with(&[("a", "1"), ("b", "2")]);
    let mut script = Script::new();
    let bucket = open(&mut script, STORE, "");
    let first = script.call(STORE, "[method]bucket.list-keys", &[bucket.clone(), Arg::I32(0), Arg::I64(0)]);
    // ok, one key, and a cursor that is the number 1
    script.tell(first, 12, 4);
    script.tell(first, 16, 1);
    script.tell(first, 24, 8);
    let second = script.call(STORE, "[method]bucket.list-keys", &[bucket.clone(), Arg::I32(1), Arg::I64(1)]);
    script.tell(second, 12, 4);
    script.tell(second, 16, 1);
    let wrong = script.call(STORE, "[method]bucket.list-keys", &[bucket, Arg::I32(1), Arg::I64(7)]);
    script.tell(wrong, 0, 1);
    script.tell_list(wrong, 12);
    let told = run(script, &map).await;
    let (one, cursor) = (1u32.to_le_bytes(), 1u64.to_le_bytes());
    let wrong = b"`7` is no cursor of this bucket";
    assert_eq!(told, [&one[..], b"\x01", &cursor, &one, b"\0", b"\x01", wrong]);

    let mut script = Script::new();
    let bucket = open(&mut script, STORE2, "");
    let first =
        script.call(STORE2, "[method]bucket.list-keys", &[bucket.clone(), Arg::I32(0), Arg::I32(0), Arg::I32(0)]);
    script.tell_list(first, 16);
    let cursor = [first.at(16), first.at(20)];
    let arguments = [bucket, Arg::I32(1), cursor[0].clone(), cursor[1].clone()];
    let second = script.call(STORE2, "[method]bucket.list-keys", &arguments);
    script.tell(second, 8, 4);
    script.tell(second, 12, 1);
    assert_eq!(run(script, &map).await, [&b"a"[..], &one, b"\0"]);
}

#[tokio::test]
async fn a_provider_of_0_82_that_cannot_list_keys_is_said_to_be_one() {
    let mut script = Script::new();
    let bucket = open(&mut script, STORE2, "");
    let listed = script.call(STORE2, "[method]bucket.list-keys", &[bucket, Arg::I32(0), Arg::I32(0), Arg::I32(0)]);
    script.tell(listed, 4, 1);
    script.tell_list(listed, 8);
    let error = CallError::Unsupported { target: "V".into(), operation: LIST_KEYS.into() };
    let text = b"the provider of this link does not handle `KeyValue.ListKeys`, which 0.82 does not have";
    assert_eq!(run_failing(script, error).await, [&b"\x02"[..], text]);
}

#[tokio::test]
async fn numbers_are_counted_with_and_without_sign() {
    let map = Store::with(&[("n", "40")]);
    let mut script = Script::new();
    let bucket = open(&mut script, STORE, "");
    let sum = script.call(ATOMICS, "increment", &[bucket.clone(), text("n"), Arg::I64(2)]);
    script.tell(sum, 8, 8);
    let too_large = script.call(ATOMICS, "increment", &[bucket, text("n"), Arg::I64(u64::MAX)]);
    script.tell(too_large, 0, 1);
    script.tell_list(too_large, 12);
    let bucket = open(&mut script, STORE2, "");
    let less = script.call(ATOMICS2, "increment", &[bucket, text("n"), Arg::I64(-50_i64 as u64)]);
    script.tell(less, 8, 8);
    let bucket = open(&mut script, STORE, "");
    let negative = script.call(ATOMICS, "increment", &[bucket, text("n"), Arg::I64(1)]);
    script.tell(negative, 0, 1);
    let told = run(script, &map).await;
    let large = b"`18446744073709551615` is too large a number to add";
    let (sum, less) = (42_u64.to_le_bytes(), (-8_i64).to_le_bytes());
    assert_eq!(told, [&sum[..], b"\x01", large, &less, b"\x01"]);
}

#[tokio::test]
async fn a_swap_fails_when_the_value_changed_and_its_successor_succeeds() {
    let map = Store::with(&[("k", "1")]);
    let mut script = Script::new();
    let bucket = open(&mut script, STORE2, "");
    let cas = script.call(ATOMICS2, "[static]cas.new", &[bucket.clone(), text("k")]).at(4);
    let current = script.call(ATOMICS2, "[method]cas.current", from_ref(&cas));
    script.tell_list(current, 8);
    script.call(STORE2, "[method]bucket.set", &[bucket, text("k"), text("2")]);
    let failed = script.call(ATOMICS2, "swap", &[cas, text("3")]);
    // err, `cas-failed`
    script.tell(failed, 0, 1);
    script.tell(failed, 4, 1);
    let next = failed.at(8);
    let current = script.call(ATOMICS2, "[method]cas.current", from_ref(&next));
    script.tell_list(current, 8);
    let swapped = script.call(ATOMICS2, "swap", &[next, text("3")]);
    script.tell(swapped, 0, 1);
    assert_eq!(run(script, &map).await, [&b"1"[..], b"\x01", b"\x01", b"2", b"\0"]);
    assert_eq!(map.get("k"), Some("3".into()));
}

#[tokio::test]
async fn batches_are_one_call_for_each_key() {
    for (store, batch) in [(STORE, BATCH), (STORE2, BATCH2)] {
        let map = Store::with(&[("a", "one")]);
        let mut script = Script::new();
        let bucket = open(&mut script, store, "");
        let [keys, len] = script.list(&[b"a", b"b"]);
        let found = script.call(batch, "get-many", &[bucket.clone(), keys.clone(), len.clone()]);
        script.tell(found, 0, 1);
        script.tell(found, 8, 4);
        let pairs = [script.place(b"x"), 1, script.place(b"x1"), 2];
        let pairs = script.place(&pairs.map(u32::to_le_bytes).concat());
        let set = script.call(batch, "set-many", &[bucket.clone(), Arg::I32(pairs), Arg::I32(1)]);
        script.tell(set, 0, 1);
        let deleted = script.call(batch, "delete-many", &[bucket, keys, len]);
        script.tell(deleted, 0, 1);
        assert_eq!(run(script, &map).await, [&b"\0"[..], &2u32.to_le_bytes(), b"\0", b"\0"], "{batch}");
        assert_eq!((map.get("a"), map.get("x")), (None, Some("x1".into())));
    }
}

#[tokio::test]
async fn the_draft_of_0_82_reads_and_writes_at_once_and_by_streams() {
    const STREAMS: &str = "wasi:io/streams@0.2.0";
    let map = Store::with(&[("a", "one"), ("n", "1")]);
    let mut script = Script::new();
    let bucket = open_old(&mut script);

    let found = script.call(EVENTUAL, "get", &[bucket.clone(), text("a")]);
    let size = script.call(TYPES, "[method]incoming-value.incoming-value-size", &[found.at(8)]);
    script.tell(size, 8, 8);
    let value = script.call(TYPES, "[static]incoming-value.incoming-value-consume-sync", &[found.at(8)]);
    script.tell_list(value, 4);
    let found = script.call(EVENTUAL, "get", &[bucket.clone(), text("a")]);
    let stream = script.call(TYPES, "[static]incoming-value.incoming-value-consume-async", &[found.at(8)]).at(4);
    let read = script.call(STREAMS, "[method]input-stream.blocking-read", &[stream.clone(), Arg::I64(2)]);
    script.tell_list(read, 4);
    script.drop(STREAMS, "input-stream", stream);

    let outgoing = script.call(TYPES, "[static]outgoing-value.new-outgoing-value", &[]).at(0);
    let write = "[method]outgoing-value.outgoing-value-write-body-sync";
    script.call(TYPES, write, &[outgoing.clone(), text("sync")]);
    let set = script.call(EVENTUAL, "set", &[bucket.clone(), text("s"), outgoing.clone()]);
    script.tell(set, 0, 1);
    let stream =
        script.call(TYPES, "[method]outgoing-value.outgoing-value-write-body-async", from_ref(&outgoing)).at(4);
    for part in ["stre", "amed"] {
        script.call(STREAMS, "[method]output-stream.blocking-write-and-flush", &[stream.clone(), text(part)]);
    }
    script.drop(STREAMS, "output-stream", stream);
    script.call(EVENTUAL, "set", &[bucket.clone(), text("t"), outgoing.clone()]);
    script.drop(TYPES, "outgoing-value", outgoing);

    let exists = script.call(EVENTUAL, "exists", &[bucket.clone(), text("never there")]);
    script.tell(exists, 0, 1);
    script.tell(exists, 4, 1);
    let sum = script.call(ATOMIC, "increment", &[bucket.clone(), text("n"), Arg::I64(4)]);
    script.tell(sum, 8, 8);
    for _ in 0..2 {
        let swapped = script.call(ATOMIC, "compare-and-swap", &[bucket.clone(), text("n"), Arg::I64(5), Arg::I64(6)]);
        script.tell(swapped, 4, 1);
    }
    let told = run(script, &map).await;
    let (three, five) = (3u64.to_le_bytes(), 5u64.to_le_bytes());
    assert_eq!(told, [&three[..], b"one", b"on", b"\0", b"\0", b"\0", &five, b"\x01", b"\0"]);
    let expected = [("s", "sync"), ("t", "streamed"), ("n", "6")];
    assert!(expected.into_iter().all(|(key, value)| map.get(key) == Some(value.into())));
}

#[tokio::test]
async fn errors_of_the_draft_of_0_82_have_a_text() {
    let map = Store::default();
    let mut script = Script::new();
    let wrong = script.call(TYPES, "[static]bucket.open-bucket", &[text("b")]);
    script.tell(wrong, 0, 1);
    let trace = script.call(ERROR, "[method]error.trace", &[wrong.at(4)]);
    script.tell_list(trace, 0);
    script.drop(ERROR, "error", wrong.at(4));
    let bucket = open_old(&mut script);
    let deleted = script.call(EVENTUAL, "delete", &[bucket, text("gone")]);
    let trace = script.call(ERROR, "[method]error.trace", &[deleted.at(4)]);
    script.tell_list(trace, 0);
    let told = run(script, &map).await;
    let name = b"`b` is not the name of a bucket: it must be empty, choose a link by `set-target`";
    assert_eq!(told, [&b"\x01"[..], name, b"there is no key `gone` to delete"]);
}

#[tokio::test]
async fn a_stream_into_a_value_is_closed_at_the_limit() {
    const STREAMS: &str = "wasi:io/streams@0.2.0";
    let mut script = Script::new();
    let outgoing = script.call(TYPES, "[static]outgoing-value.new-outgoing-value", &[]).at(0);
    let stream = script.call(TYPES, "[method]outgoing-value.outgoing-value-write-body-async", &[outgoing]).at(4);
    let whole = script.call(STREAMS, "[method]output-stream.blocking-write-and-flush", &[stream.clone(), text("1234")]);
    script.tell(whole, 0, 1);
    let more = script.call(STREAMS, "[method]output-stream.blocking-write-and-flush", &[stream, text("5")]);
    script.tell(more, 0, 1);
    script.tell(more, 4, 1);
    // room for what is told, one at a time
    let limits = GuestLimits { payload_bytes: 4, ..limits() };
    let guest = script.try_load(&[CONTRACT], limits).await.unwrap();
    let told = call_once(&guest, "Run", Bytes::new(), |_| panic!("nothing is called")).await.unwrap();
    // err, `closed`
    assert_eq!(told, [&b"\0"[..], b"\x01", b"\x01"]);
}

#[tokio::test]
async fn the_values_of_a_batch_are_bounded_together() {
    let mut script = Script::new();
    let bucket = open(&mut script, STORE, "");
    let [keys, len] = script.list(&[b"a", b"b"]);
    let found = script.call(BATCH, "get-many", &[bucket, keys, len]);
    script.tell_list(found, 8);
    let guest = script.try_load(&[CONTRACT], GuestLimits { response_bytes: 100, ..limits() }).await.unwrap();
    let map = Store::with(&[("a", "x".repeat(60).as_str()), ("b", "y".repeat(60).as_str())]);
    let told = call_once(&guest, "Run", Bytes::new(), move |call| map.serve(&call)).await.unwrap();
    assert_eq!(told, [&b"limit exceeded: values of more than 100 bytes, the limit `response_bytes`"[..]]);
}

#[tokio::test]
async fn a_batch_counts_as_many_calls_as_it_has_keys() {
    let mut script = Script::new();
    let bucket = open(&mut script, STORE, "");
    let [keys, len] = script.list(&[b"a", b"b", b"c"]);
    script.call(BATCH, "delete-many", &[bucket, keys, len]);
    let guest = script.try_load(&[CONTRACT], GuestLimits { host_calls_per_call: 2, ..limits() }).await.unwrap();
    let error = call_once(&guest, "Run", Bytes::new(), |_| panic!("nothing is called")).await.unwrap_err();
    assert_eq!(error, CallError::LimitExceeded { limit: "`host_calls_per_call` of 2".to_owned() });
}

#[tokio::test]
async fn buckets_are_handles_and_bounded_as_such() {
    let mut script = Script::new();
    for _ in 0..5 {
        open(&mut script, STORE, "");
    }
    let guest = script.try_load(&[CONTRACT], GuestLimits { component_handles: 4, ..limits() }).await.unwrap();
    let error = call_once(&guest, "Run", Bytes::new(), |_| panic!("nothing is called")).await.unwrap_err();
    assert_eq!(error, CallError::LimitExceeded { limit: "`component_handles`".to_owned() });
}
