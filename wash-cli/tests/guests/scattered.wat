;; Writes one line from three places at once, and does not end it.
;;! stdout: one two three
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\04\00\00\00\50\00\00\00\04\00\00\00\60\00\00\00\05\00\00\00")
  (data (i32.const 64) "one ")
  (data (i32.const 80) "two ")
  (data (i32.const 96) "three")
  (func $once (param $vector i32)
    (drop (call $write (i32.const 1) (local.get $vector) (i32.const 1) (i32.const 128))))
  (func (export "_start")
    (call $once (i32.const 0))
    (call $once (i32.const 8))
    (call $once (i32.const 16))))
