;; Wants 64 MiB from the beginning.
;;! case: enough
;;! exit: 0
;;! case: not enough
;;! options: --max-memory 1MiB
;;! exit: 134
;;! stderr: `memory_bytes` of 1048576
(module
  (memory (export "memory") 1024)
  (func (export "_start")))
