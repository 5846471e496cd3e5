;; Calls an element that was never set.
;;! trap: uninitialized element: in `begin`
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (func $begin (export "_start") (call_indirect (i32.const 1))))
