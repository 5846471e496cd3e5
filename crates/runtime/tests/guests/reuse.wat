;; Core module of an HTTP guest that counts the requests its instance has seen; `http.wit` says what its imports are.
;; It answers with the count as one digit. The second byte of the path chooses what it does besides. Addresses: 0 results
;; of host functions, 1024 texts, 65536 whatever the host hands in.
;;
;; `reuse.wasm` is made of the two as `http.wasm` is.
(module
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.path-with-query" (func $path (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[resource-drop]incoming-request" (func $drop_request (param i32)))
  (import "wasi:http/types@0.2.0" "[resource-drop]response-outparam" (func $drop_out (param i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $response_body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $body_write (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $body_finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set"
    (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_output (param i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $sleep (param i64) (result i32)))
  (memory (export "memory") 2)
  (global $count (mut i32) (i32.const 0))
  (global $body (mut i32) (i32.const 0))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))

  (func $answer (param $out i32) (result i32) (local $response i32)
    (local.set $response (call $response (call $fields)))
    (call $response_body (local.get $response) (i32.const 0))
    (global.set $body (i32.load (i32.const 4)))
    (call $set (local.get $out) (i32.const 0) (local.get $response) (i32.const 0) (i64.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0))
    (call $body_write (global.get $body) (i32.const 0))
    (i32.load (i32.const 4)))

  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $request i32) (param $out i32)
    (local $choice i32) (local $stream i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 1024) (i32.add (i32.const 48) (global.get $count)))
    (call $path (local.get $request) (i32.const 0))
    ;; What stands behind a path of one byte is of an earlier request.
    (if (i32.gt_u (i32.load (i32.const 8)) (i32.const 1)) (then
      (local.set $choice (i32.load8_u (i32.const 65537)))))
    ;; k: keeps the request
    (if (i32.ne (local.get $choice) (i32.const 107)) (then (call $drop_request (local.get $request))))
    ;; t: trap
    (if (i32.eq (local.get $choice) (i32.const 116)) (then unreachable))
    ;; d: drops what it should answer through
    (if (i32.eq (local.get $choice) (i32.const 100)) (then (call $drop_out (local.get $out)) (return)))
    ;; n: keeps it and says nothing
    (if (i32.eq (local.get $choice) (i32.const 110)) (then (return)))
    (local.set $stream (call $answer (local.get $out)))
    (call $write (local.get $stream) (i32.const 1024) (i32.const 1) (i32.const 0))
    ;; o: leaves the body open
    (if (i32.eq (local.get $choice) (i32.const 111)) (then (return)))
    ;; p: sleeps for an hour before the end of the body
    (if (i32.eq (local.get $choice) (i32.const 112)) (then (call $block (call $sleep (i64.const 3600000000000)))))
    (call $drop_output (local.get $stream))
    (call $body_finish (global.get $body) (i32.const 0) (i32.const 0) (i32.const 0))
    ;; a: traps after its answer
    (if (i32.eq (local.get $choice) (i32.const 97)) (then unreachable))))
