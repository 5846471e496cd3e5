;; Prints its whole environment, each variable with the byte that ends it, which is a zero.
;;! case: nothing is inherited
;;! stdout:
;;! case: what is granted
;;! options: --env B=two=2 --env A=1 --env EMPTY=
;;! stdout: A=1\0B=two=2\0EMPTY=\0
(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 12)))
    (drop (call $get (i32.const 1024) (i32.const 65536)))
    (i32.store (i32.const 8) (i32.const 65536))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 4)))))
