;; Tries to leave the directory it was given (63: not permitted).
;;! file: data/inside.txt=
;;! file: secret.txt=secret
;;! options: --dir data::/
;;! exit: 63
;;! component-exit: 1
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 128) "../secret.txt")
  (func (export "_start")
    (call $exit (call $open (i32.const 3) (i32.const 1) (i32.const 128) (i32.const 13) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))))
