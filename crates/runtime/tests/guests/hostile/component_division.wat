;; A component that divides by zero.
(component
  (core module $main
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "call") (param $at i32) (param $len i32) (result i32)
      (drop (i32.div_u (i32.const 1) (i32.mul (local.get $len) (i32.const 0))))
      (i32.const 0)))
  (core instance $main (instantiate $main))
  (func $call (param "operation" string) (result (result (error string)))
    (canon lift (core func $main "call") (memory $main "memory") (realloc (func $main "realloc"))))
  (instance $guest (export "call" (func $call)))
  (export "wasmcloud:bus/guest" (instance $guest)))
