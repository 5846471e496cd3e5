;; Writes to both streams.
;;! stdout: out\n
;;! stderr: err\n
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\04\00\00\00\20\00\00\00\04\00\00\00")
  (data (i32.const 16) "out\n")
  (data (i32.const 32) "err\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
    (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 64)))))
