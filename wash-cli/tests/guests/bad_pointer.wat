;; Lets the host write out what is not there.
;;! kinds: module
;;! trap: Pointer out of bounds
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $begin (export "_start")
    (i32.store (i32.const 0) (i32.const 0x7fffffff))
    (i32.store (i32.const 4) (i32.const 16))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
