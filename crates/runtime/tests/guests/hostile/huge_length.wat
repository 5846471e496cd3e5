;; A payload of 4 GiB.
(module
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "test")
  (data (i32.const 32) "again")
  (data (i32.const 40) "fail")
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (drop (call $call (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 32) (i32.const 5) (i32.const 64) (i32.const -1)))
    (i32.const 1)))
