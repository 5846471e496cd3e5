;; An actor is no command, and all of its imports are named.
;;! kinds: module
;;! exit: 1
;;! stderr: imports that this host does not provide: `wasmbus.__guest_request`, `wasmbus.__guest_response`
(module
  (import "wasmbus" "__guest_request" (func (param i32 i32)))
  (import "wasmbus" "__guest_response" (func (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
