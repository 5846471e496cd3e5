;; Writes 8 MiB in pieces of 64 KiB.
;;! stdout-length: 8388608
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start") (local $left i32)
    (memory.fill (i32.const 65536) (i32.const 120) (i32.const 65536))
    (local.set $left (i32.const 8388608))
    (loop $more
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4)
        (select (i32.const 65536) (local.get $left) (i32.gt_u (local.get $left) (i32.const 65536))))
      (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
      (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 8))))
      (br_if $more (local.get $left)))))
