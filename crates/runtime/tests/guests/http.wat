;; Core module of the HTTP guest of the tests; `http.wit` says what its imports are. The second byte of the path chooses
;; what it does. Addresses: 0 results of host functions, 1024 texts, 65536 whatever the host hands in.
;;
;; `http.wasm` is made of the two by
;;   wasm-tools component embed http.wit http.wat -o core.wasm && wasm-tools component new core.wasm -o http.wasm
(module
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.path-with-query" (func $path (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.consume" (func $consume (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-body.stream" (func $input (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $response_body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $body_write (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $body_finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set"
    (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority"
    (func $authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query"
    (func $set_path (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe" (func $subscribe (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.get" (func $get (param i32 i32)))
  (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $send (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_output (param i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $sleep (param i64) (result i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
  (memory (export "memory") 2)
  (global $body (mut i32) (i32.const 0))
  (data (i32.const 1024) "hello")
  (data (i32.const 1040) "first")
  (data (i32.const 1056) "denied")
  (data (i32.const 1072) "a line for the log\n")
  (data (i32.const 1104) "/")

  ;; One thing at a time is handed in, so its place can be fixed.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))

  ;; Sends the head, returns the stream of the body.
  (func $answer (param $out i32) (result i32) (local $response i32)
    (local.set $response (call $response (call $fields)))
    (call $response_body (local.get $response) (i32.const 0))
    (global.set $body (i32.load (i32.const 4)))
    (call $set (local.get $out) (i32.const 0) (local.get $response) (i32.const 0) (i64.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0))
    (call $body_write (global.get $body) (i32.const 0))
    (i32.load (i32.const 4)))

  (func $finish (param $stream i32)
    (call $drop_output (local.get $stream))
    (call $body_finish (global.get $body) (i32.const 0) (i32.const 0) (i32.const 0)))

  (func $answer_text (param $out i32) (param $at i32) (param $len i32) (local $stream i32)
    (local.set $stream (call $answer (local.get $out)))
    (call $write (local.get $stream) (local.get $at) (local.get $len) (i32.const 0))
    (call $finish (local.get $stream)))

  ;; Writes `first` and leaves the body open.
  (func $answer_first (param $out i32)
    (call $write (call $answer (local.get $out)) (i32.const 1040) (i32.const 5) (i32.const 0)))

  (func $echo (param $request i32) (param $out i32) (local $input i32) (local $output i32)
    (call $consume (local.get $request) (i32.const 0))
    (call $input (i32.load (i32.const 4)) (i32.const 0))
    (local.set $input (i32.load (i32.const 4)))
    (local.set $output (call $answer (local.get $out)))
    (block $end (loop $more
      (call $read (local.get $input) (i64.const 4096) (i32.const 0))
      (br_if $end (i32.load8_u (i32.const 0)))
      (call $write (local.get $output) (i32.load (i32.const 4)) (i32.load (i32.const 8)) (i32.const 16))
      (br_if $more (i32.eqz (i32.load8_u (i32.const 16))))
      (return)))
    ;; Error 1 is the end of the stream; anything else leaves the body unfinished.
    (if (i32.eq (i32.load8_u (i32.const 4)) (i32.const 1)) (then (call $finish (local.get $output)))))

  ;; Tries to call out and answers `denied` when the error says so.
  (func $call_out (param $out i32) (local $request i32) (local $future i32)
    (local.set $request (call $request (call $fields)))
    (drop (call $authority (local.get $request) (i32.const 1) (i32.const 1024) (i32.const 5)))
    (drop (call $set_path (local.get $request) (i32.const 1) (i32.const 1104) (i32.const 1)))
    (call $send (local.get $request) (i32.const 0) (i32.const 0) (i32.const 0))
    (local.set $future (i32.load (i32.const 8)))
    (call $block (call $subscribe (local.get $future)))
    (call $get (local.get $future) (i32.const 0))
    (if (i32.eq (i32.load8_u (i32.const 24)) (i32.const 15)) (then
      (call $answer_text (local.get $out) (i32.const 1056) (i32.const 6)))))

  (func $log_lines (local $stream i32) (local $count i32)
    (local.set $stream (call $stdout))
    (loop $more
      (call $write (local.get $stream) (i32.const 1072) (i32.const 19) (i32.const 0))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $count) (i32.const 5000)))))

  (func $spin (loop $l (br $l)))

  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $request i32) (param $out i32) (local $choice i32)
    (call $path (local.get $request) (i32.const 0))
    (local.set $choice (i32.load8_u (i32.const 65537)))
    ;; t: trap
    (if (i32.eq (local.get $choice) (i32.const 116)) (then unreachable))
    ;; s: spin
    (if (i32.eq (local.get $choice) (i32.const 115)) (then (call $spin)))
    ;; n: no answer
    (if (i32.eq (local.get $choice) (i32.const 110)) (then (return)))
    ;; p: sleep for an hour
    (if (i32.eq (local.get $choice) (i32.const 112)) (then (call $block (call $sleep (i64.const 3600000000000)))))
    ;; m: more memory than there is
    (if (i32.eq (local.get $choice) (i32.const 109)) (then
      (if (i32.eq (memory.grow (i32.const 10000)) (i32.const -1)) (then unreachable))))
    ;; r: resources without end
    (if (i32.eq (local.get $choice) (i32.const 114)) (then (loop $l (drop (call $fields)) (br $l))))
    ;; g: log
    (if (i32.eq (local.get $choice) (i32.const 103)) (then (call $log_lines)))
    ;; v: must find no environment
    (if (i32.eq (local.get $choice) (i32.const 118)) (then
      (call $environment (i32.const 0))
      (if (i32.load (i32.const 4)) (then unreachable))))
    ;; e: echo
    (if (i32.eq (local.get $choice) (i32.const 101)) (then (call $echo (local.get $request) (local.get $out)) (return)))
    ;; o: call out
    (if (i32.eq (local.get $choice) (i32.const 111)) (then (call $call_out (local.get $out)) (return)))
    ;; l: late trap
    (if (i32.eq (local.get $choice) (i32.const 108)) (then (call $answer_first (local.get $out)) unreachable))
    ;; w: spin while the body is open
    (if (i32.eq (local.get $choice) (i32.const 119)) (then (call $answer_first (local.get $out)) (call $spin)))
    ;; a: spin after the body is complete
    (if (i32.eq (local.get $choice) (i32.const 97)) (then
      (call $answer_text (local.get $out) (i32.const 1024) (i32.const 5))
      (call $spin)))
    (call $answer_text (local.get $out) (i32.const 1024) (i32.const 5))))
