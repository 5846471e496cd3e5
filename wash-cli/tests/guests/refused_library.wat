;; Nothing to start.
;;! kinds: module
;;! exit: 1
;;! stderr: the module exports no function `_start`, so it is not a command\n  hint: commands run with `wash run`
(module
  (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
