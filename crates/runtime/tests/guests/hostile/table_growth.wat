;; Grows its table without end.
(module
  (memory (export "memory") 1)
  (table $t 1 funcref)
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1))))
    unreachable
    (i32.const 1)))
