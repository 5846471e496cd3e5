;; Never ends.
;;! options: --timeout 200ms
;;! exit: 124
;;! stderr: was stopped after 200ms
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $forever (br $forever))))
