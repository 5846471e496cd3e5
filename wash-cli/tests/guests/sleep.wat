;; Waits for a clock.
;;! case: for 20 ms, as the argument's length says
;;! args: -
;;! exit: 0
;;! case: for longer than it may
;;! options: --timeout 200ms
;;! args: much-too-long
;;! exit: 124
;;! stderr: was stopped after 200ms
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    ;; One subscription at 64: a monotonic clock (1), relative.
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88)
      (select (i64.const 20000000) (i64.const 3600000000000) (i32.lt_u (i32.load (i32.const 4)) (i32.const 14))))
    (if (call $poll (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 512)) (then unreachable))))
