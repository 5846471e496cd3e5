;; The monotonic clock does not go back, and the other one knows that the year 2020 is over.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func $now (param $clock i32) (result i64)
    (if (call $time (local.get $clock) (i64.const 1) (i32.const 0)) (then unreachable))
    (i64.load (i32.const 0)))
  (func (export "_start") (local $before i64)
    (local.set $before (call $now (i32.const 1)))
    (if (i64.lt_u (call $now (i32.const 1)) (local.get $before)) (then unreachable))
    (if (i64.lt_u (call $now (i32.const 0)) (i64.const 1609459200000000000)) (then unreachable))))
