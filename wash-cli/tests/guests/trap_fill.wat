;; Fills more memory than there is.
;;! trap: out of bounds memory access: in `begin`
(module
  (memory (export "memory") 1 4)
  (func $begin (export "_start") (memory.fill (i32.const 65000) (i32.const 0) (i32.const 0x7fffffff))))
