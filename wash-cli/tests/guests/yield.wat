;; Lets others run, a thousand times.
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $left i32)
    (local.set $left (i32.const 1000))
    (loop $more
      (if (call $yield) (then unreachable))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
