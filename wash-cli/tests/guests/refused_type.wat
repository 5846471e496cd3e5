;; A known name with another type.
;;! kinds: module
;;! exit: 1
;;! stderr: an import does not have the type this host provides
(module
  (import "wasi_snapshot_preview1" "fd_write" (func (param i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
