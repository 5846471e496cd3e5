;; Gives up, three calls deep.
;;! trap: wasm `unreachable` instruction executed: in `inner`, called by `outer`, called by `begin`
(module
  (memory (export "memory") 1)
  (func $inner unreachable)
  (func $outer (call $inner))
  (func $begin (export "_start") (call $outer)))
