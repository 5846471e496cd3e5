;; Ends well, in the middle of a function.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $deep (call $exit (i32.const 0)) unreachable)
  (func (export "_start") (call $deep) unreachable))
