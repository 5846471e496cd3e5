;; Calls itself without end.
;;! trap: call stack exhausted: in `deeper`, called by `deeper`
(module
  (memory (export "memory") 1)
  (func $deeper (param i64) (result i64)
    (i64.add (local.get 0) (call $deeper (i64.add (local.get 0) (i64.const 1)))))
  (func (export "_start") (drop (call $deeper (i64.const 0)))))
