;; Makes the file `made.txt` in the first directory it was given; its exit code is the number of the error.
;;! case: a directory to write in
;;! file: data/other.txt=
;;! options: --dir data::/
;;! made: data/made.txt=made\n
;;! case: a directory only to read (63: not permitted)
;;! file: data/other.txt=
;;! options: --dir data::/:ro
;;! exit: 63
;;! component-exit: 1
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\04\00\00\05\00\00\00")
  (data (i32.const 128) "made.txt")
  (data (i32.const 1024) "made\n")
  (func $must (param $error i32) (if (local.get $error) (then (call $exit (local.get $error)))))
  (func (export "_start")
    (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 128) (i32.const 8) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
    (call $must (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))))
