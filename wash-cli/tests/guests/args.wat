;; Prints its arguments, each with the byte that ends it, which is a zero.
;;! case: only the name
;;! args:
;;! stdout: args.wasm\0
;;! case: some words
;;! args: one --two=2 -v ünï
;;! stdout: args.wasm\0one\0--two=2\0-v\0ünï\0
;;! case: another name
;;! options: --arg0 busybox
;;! args: ls
;;! stdout: busybox\0ls\0
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 12)))
    (drop (call $get (i32.const 1024) (i32.const 65536)))
    (i32.store (i32.const 8) (i32.const 65536))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 4)))))
