;; Divides by zero.
(module
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (drop (i32.div_u (local.get $operation) (i32.mul (local.get $payload) (i32.const 0))))
    (i32.const 1)))
