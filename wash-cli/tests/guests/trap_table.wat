;; Calls what is beyond the end of a table.
;;! trap: undefined element: out of bounds table access: in `begin`
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (func $begin (export "_start") (call_indirect (i32.const 9))))
