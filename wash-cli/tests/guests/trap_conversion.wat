;; Makes an integer of what is no number.
;;! trap: invalid conversion to integer: in `begin`
(module
  (memory (export "memory") 1)
  (func $begin (export "_start")
    (drop (i32.trunc_f32_s (f32.div (f32.load (i32.const 0)) (f32.load (i32.const 0)))))))
