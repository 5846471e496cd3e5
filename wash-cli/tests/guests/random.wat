;; Two draws of eight random bytes differ.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (call $random (i32.const 0) (i32.const 8)) (then unreachable))
    (if (call $random (i32.const 8) (i32.const 8)) (then unreachable))
    (if (i64.eq (i64.load (i32.const 0)) (i64.load (i32.const 8))) (then unreachable))))
