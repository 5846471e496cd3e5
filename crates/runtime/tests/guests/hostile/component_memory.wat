;; A component that takes memory page by page and writes to each.
(component
  (core module $main
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "call") (param $at i32) (param $len i32) (result i32)
      (loop $l
        (local.set $at (memory.grow (i32.const 1)))
        (if (i32.eq (local.get $at) (i32.const -1)) (then unreachable))
        (memory.fill (i32.shl (local.get $at) (i32.const 16)) (i32.const 255) (i32.const 65536))
        (br $l))
      (i32.const 0)))
  (core instance $main (instantiate $main))
  (func $call (param "operation" string) (result (result (error string)))
    (canon lift (core func $main "call") (memory $main "memory") (realloc (func $main "realloc"))))
  (instance $guest (export "call" (func $call)))
  (export "wasmcloud:bus/guest" (instance $guest)))
