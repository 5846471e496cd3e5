;; Takes memory until it gets no more, and lives with that.
;;! case: an even megabyte
;;! kinds: module
;;! options: --max-memory 1MiB
;;! exit: 16
;;! case: a few megabytes
;;! kinds: module
;;! options: --max-memory 4MiB
;;! exit: 64
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $more (br_if $more (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))
    (call $exit (memory.size))))
