;; Gives up when it gets no more memory.
;;! options: --max-memory 1MiB
;;! exit: 134
;;! stderr: needs more than it may have: `memory_bytes` of 1048576\n  hint: raise it with `--max-memory`
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $more
      (if (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)) (then unreachable))
      (br $more))))
