//! `wasi:blobstore` in both versions, over an outbound that is a store in memory: what guests write and copy.

use contracts::CallError;
use runtime::GuestLimits;

use crate::blobs::{Blobs, DRAFT, PIECE, STREAMS, VERSIONS, blobstore, method, open, run, run_with, types};
use crate::script::{Arg, Script, Slot, text};
use crate::support::limits;

/// What a guest may write at once.
const WRITE: usize = 64 << 10;

/// A value and its stream.
fn new_value(script: &mut Script, version: &str) -> (Arg, Arg) {
    let value = script.call(&types(version), "[static]outgoing-value.new-outgoing-value", &[]).at(0);
    let name = "[method]outgoing-value.outgoing-value-write-body";
    let stream = script.call(&types(version), name, std::slice::from_ref(&value)).at(4);
    (value, stream)
}

/// Writes what fits at once, as often as it takes; each time it waits for room first.
fn write(script: &mut Script, stream: &Arg, bytes: usize) {
    for _ in 0..bytes / WRITE {
        let pollable = script.call(STREAMS, "[method]output-stream.subscribe", std::slice::from_ref(stream)).at(0);
        script.call("wasi:io/poll@0.2.0", "[method]pollable.block", std::slice::from_ref(&pollable));
        script.drop("wasi:io/poll@0.2.0", "pollable", pollable);
        script.call(STREAMS, "[method]output-stream.check-write", std::slice::from_ref(stream));
        let arguments = [stream.clone(), Arg::I32(0), Arg::I32(u32::try_from(WRITE).unwrap())];
        script.call(STREAMS, "[method]output-stream.write", &arguments);
    }
}

fn end(script: &mut Script, version: &str, value: Arg, stream: Arg) -> Option<Slot> {
    script.drop(STREAMS, "output-stream", stream);
    if version == DRAFT {
        return Some(script.call(&types(version), "[static]outgoing-value.finish", &[value]));
    }
    script.drop(&types(version), "outgoing-value", value);
    None
}

#[tokio::test]
async fn a_small_value_is_one_message_whenever_it_gets_its_name() {
    for version in VERSIONS {
        for named_first in [true, false] {
            let blobs = Blobs::with(&[]);
            let mut script = Script::new();
            let handle = open(&mut script, version, "c");
            let (value, stream) = new_value(&mut script, version);
            let name = [handle, text("new"), value.clone()];
            if named_first {
                method(&mut script, version, "write-data", &name);
            }
            let chunk = [stream.clone(), text("some bytes")];
            script.call(STREAMS, "[method]output-stream.blocking-write-and-flush", &chunk);
            if !named_first {
                script.drop(STREAMS, "output-stream", stream);
                method(&mut script, version, "write-data", &name);
                if version == DRAFT {
                    script.call(&types(version), "[static]outgoing-value.finish", &[value]);
                }
            } else {
                end(&mut script, version, value, stream);
            }
            run(script, &blobs).await;
            assert_eq!(blobs.object("new").as_deref(), Some(&b"some bytes"[..]), "{version} {named_first}");
            assert_eq!(blobs.operations("Blobstore.PutObject"), 1);
            assert_eq!(blobs.operations("Blobstore.PutChunk"), 0);
        }
    }
}

#[tokio::test]
async fn a_large_value_is_sent_in_pieces_while_it_is_written() {
    for version in VERSIONS {
        let blobs = Blobs::with(&[]);
        let mut script = Script::new();
        let handle = open(&mut script, version, "c");
        let (value, stream) = new_value(&mut script, version);
        method(&mut script, version, "write-data", &[handle, text("big"), value.clone()]);
        write(&mut script, &stream, 5 * PIECE);
        let finished = end(&mut script, version, value, stream);
        if let Some(finished) = finished {
            script.tell(finished, 0, 1);
        }
        run_with(script, &blobs, GuestLimits { host_calls_per_call: 20, ..limits() }).await.unwrap();
        assert_eq!(blobs.object("big").map(|object| object.len()), Some(5 * PIECE), "{version}");
        assert_eq!((blobs.operations("Blobstore.PutChunk"), blobs.largest()), (4, PIECE), "{version}");
    }
}

#[tokio::test]
async fn an_empty_value_is_an_empty_object() {
    for version in VERSIONS {
        let blobs = Blobs::with(&[]);
        let mut script = Script::new();
        let handle = open(&mut script, version, "c");
        let (value, stream) = new_value(&mut script, version);
        method(&mut script, version, "write-data", &[handle, text("empty"), value.clone()]);
        end(&mut script, version, value, stream);
        run(script, &blobs).await;
        assert_eq!(blobs.object("empty").as_deref(), Some(&b""[..]), "{version}");
    }
}

#[tokio::test]
async fn what_is_written_before_it_has_a_name_is_bounded() {
    let blobs = Blobs::with(&[]);
    let mut script = Script::new();
    let (_, first) = new_value(&mut script, DRAFT);
    write(&mut script, &first, PIECE);
    // The bound is one for all values.
    let (_, second) = new_value(&mut script, DRAFT);
    let room = script.call(STREAMS, "[method]output-stream.check-write", std::slice::from_ref(&second));
    script.tell(room, 0, 1);
    script.tell(room, 8, 1);
    let payload_bytes = u32::try_from(PIECE).unwrap();
    let told = run_with(script, &blobs, GuestLimits { payload_bytes, ..limits() }).await.unwrap();
    assert_eq!(told, [&b"\x01"[..], b"\0"], "last-operation-failed");
}

#[tokio::test]
async fn a_value_that_is_not_finished_is_removed_again() {
    let blobs = Blobs::with(&[]);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let (value, stream) = new_value(&mut script, DRAFT);
    method(&mut script, DRAFT, "write-data", &[handle, text("big"), value.clone()]);
    write(&mut script, &stream, 3 * PIECE);
    script.drop(STREAMS, "output-stream", stream);
    script.drop(&types(DRAFT), "outgoing-value", value);
    run(script, &blobs).await;
    blobs.removed("big").await;
    assert_eq!(blobs.object("big"), None);
}

#[tokio::test]
async fn what_a_guest_leaves_behind_when_it_ends_is_removed_again() {
    for version in VERSIONS {
        let blobs = Blobs::with(&[]);
        let mut script = Script::new();
        let handle = open(&mut script, version, "c");
        let (value, stream) = new_value(&mut script, version);
        method(&mut script, version, "write-data", &[handle, text("big"), value]);
        write(&mut script, &stream, 3 * PIECE);
        run(script, &blobs).await;
        blobs.removed("big").await;
        assert_eq!(blobs.object("big"), None, "{version}");
    }
}

#[tokio::test]
async fn finishing_asks_for_a_name_and_a_stream_that_is_closed() {
    let blobs = Blobs::with(&[]);
    let mut script = Script::new();
    let (value, stream) = new_value(&mut script, DRAFT);
    let open_still = script.call(&types(DRAFT), "[static]outgoing-value.finish", &[value]);
    script.tell_list(open_still, 4);
    let closed = script.call(STREAMS, "[method]output-stream.check-write", std::slice::from_ref(&stream));
    script.tell(closed, 0, 1);
    let (value, stream) = new_value(&mut script, DRAFT);
    let twice = [value.clone()];
    let second = script.call(&types(DRAFT), "[method]outgoing-value.outgoing-value-write-body", &twice);
    script.tell(second, 0, 1);
    let unnamed = end(&mut script, DRAFT, value, stream).unwrap();
    script.tell_list(unnamed, 4);
    let told = run(script, &blobs).await;
    let expected: [&[u8]; 4] = [
        b"cannot finish the value: its stream must be dropped first",
        b"\x01",
        b"\x01",
        b"cannot finish the value: no `write-data` said where it goes",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_provider_that_refuses_a_piece_is_quoted_and_the_rest_removed() {
    let blobs = Blobs::with(&[]);
    blobs.fail_after(2 * PIECE);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let (value, stream) = new_value(&mut script, DRAFT);
    method(&mut script, DRAFT, "write-data", &[handle, text("big"), value.clone()]);
    write(&mut script, &stream, 3 * PIECE);
    let failed = end(&mut script, DRAFT, value, stream).unwrap();
    script.tell(failed, 0, 1);
    script.tell_list(failed, 4);
    assert_eq!(run(script, &blobs).await, [&b"\x01"[..], b"no space left"]);
    blobs.removed("big").await;
}

#[tokio::test]
async fn objects_are_copied_and_moved_piece_by_piece() {
    let object = vec![3; 3 * PIECE + 1];
    let blobs = Blobs::with(&[("from", &object), ("small", b"x")]);
    let mut script = Script::new();
    let id = |container: &str, object: &str| [text(container), text(object)];
    let copied = script.call(&blobstore(DRAFT), "copy-object", &[id("c", "from"), id("c", "copy")].concat());
    script.tell(copied, 0, 1);
    script.call(&blobstore(DRAFT), "move-object", &[id("c", "copy"), id("c", "moved")].concat());
    let onto_itself = [id("c", "small"), id("c", "small")].concat();
    let kept = script.call(&blobstore(DRAFT), "move-object", &onto_itself);
    script.tell(kept, 0, 1);
    let missing = script.call(&blobstore(DRAFT), "copy-object", &[id("c", "no"), id("c", "no")].concat());
    script.tell_list(missing, 4);
    let told = run(script, &blobs).await;
    assert_eq!(told, [&b"\0"[..], b"\0", b"there is no object `no` in `c`"]);
    assert!(blobs.object("moved").is_some_and(|moved| moved == object));
    assert!(blobs.object("from").is_some_and(|from| from == object));
    assert_eq!((blobs.object("copy"), blobs.object("small").as_deref()), (None, Some(&b"x"[..])));
    assert_eq!(blobs.largest(), PIECE);
}

#[tokio::test]
async fn what_streams_do_counts_as_host_calls() {
    let blobs = Blobs::with(&[]);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let (value, stream) = new_value(&mut script, DRAFT);
    method(&mut script, DRAFT, "write-data", &[handle, text("big"), value]);
    write(&mut script, &stream, 5 * PIECE);
    let error = run_with(script, &blobs, GuestLimits { host_calls_per_call: 3, ..limits() }).await.unwrap_err();
    assert_eq!(error, CallError::LimitExceeded { limit: "`host_calls_per_call` of 3".to_owned() });
    blobs.removed("big").await;
}
