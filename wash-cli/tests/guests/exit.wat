;; Ends with the number of its arguments as exit code: what comes after is not reached.
;;! case: no arguments
;;! exit: 1
;;! case: two arguments
;;! args: a b
;;! exit: 3
;;! component-exit: 1
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (call $exit (i32.load (i32.const 0)))
    unreachable))
