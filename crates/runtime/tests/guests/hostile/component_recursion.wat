;; A component that recurses until the stack ends.
(component
  (core module $main
    (memory (export "memory") 1)
    (func $deeper (call $deeper) (call $deeper))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "call") (param $at i32) (param $len i32) (result i32)
      (call $deeper)
      (i32.const 0)))
  (core instance $main (instantiate $main))
  (func $call (param "operation" string) (result (result (error string)))
    (canon lift (core func $main "call") (memory $main "memory") (realloc (func $main "realloc"))))
  (instance $guest (export "call" (func $call)))
  (export "wasmcloud:bus/guest" (instance $guest)))
