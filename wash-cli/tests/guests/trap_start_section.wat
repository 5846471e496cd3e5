;; Gives up before `_start` is called.
;;! trap: wasm `unreachable` instruction executed: in `early`
(module
  (memory (export "memory") 1)
  (func $early unreachable)
  (start $early)
  (func (export "_start")))
