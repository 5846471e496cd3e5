;; An exit code that WASI preview 1 has no room for, and a shell has.
;;! exit: 255
;;! component-exit: 1
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const -1))))
