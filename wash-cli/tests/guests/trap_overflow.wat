;; The one quotient of integers that does not fit.
;;! trap: integer overflow: in `begin`
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\00\00\80\ff\ff\ff\ff")
  (func $begin (export "_start")
    (drop (i32.div_s (i32.load (i32.const 0)) (i32.load (i32.const 4))))))
