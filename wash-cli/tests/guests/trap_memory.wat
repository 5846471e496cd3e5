;; Reads beyond the end of its memory.
;;! trap: out of bounds memory access: in `begin`
(module
  (memory (export "memory") 1 4)
  (func $begin (export "_start") (drop (i32.load (i32.const 262144)))))
