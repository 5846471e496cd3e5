;; Logs without end, 60 KiB at a time: a gibibyte and more before anybody stops it.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\00\04\00\00\00\f0\00\00")
  (func (export "_start")
    (memory.fill (i32.const 1024) (i32.const 10) (i32.const 61440))
    (memory.fill (i32.const 1024) (i32.const 97) (i32.const 61000))
    (loop $l (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))) (br $l))))
