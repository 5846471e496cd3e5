;; Divides by zero.
;;! trap: integer divide by zero: in `divide`, called by `begin`
(module
  (memory (export "memory") 1)
  (func $divide (param i32) (result i32) (i32.div_s (i32.const 7) (local.get 0)))
  (func $begin (export "_start") (drop (call $divide (i32.load (i32.const 0))))))
