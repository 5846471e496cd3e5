;; Calls a function as if it were of another type.
;;! trap: indirect call type mismatch: in `begin`
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 0) $takes)
  (func $takes (param i64))
  (func $begin (export "_start") (call_indirect (i32.const 0))))
