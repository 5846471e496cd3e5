;; Tries to seek in standard output, which is no file (70: cannot seek).
;;! kinds: module
;;! exit: 70
(module
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (call $seek (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 0)))))
