;; Writes at the very end of what an address can say.
;;! trap: out of bounds memory access: in `begin`
(module
  (memory (export "memory") 1)
  (func $begin (export "_start") (i64.store offset=4294967295 (i32.const -1) (i64.const 1))))
