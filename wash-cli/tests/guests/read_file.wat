;; Prints the file `note.txt` of the first directory it was given; its exit code is the number of the error.
;;! case: without a directory there is no file (8: bad descriptor)
;;! exit: 8
;;! component-exit: 1
;;! case: a directory
;;! file: data/note.txt=a note\n
;;! options: --dir data
;;! stdout: a note\n
;;! case: a directory under another name, only to read
;;! file: data/note.txt=a note\n
;;! options: --dir data::/work:ro
;;! stdout: a note\n
;;! case: a directory without the file (44: no such file)
;;! file: data/other.txt=
;;! options: --dir data
;;! exit: 44
;;! component-exit: 1
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 128) "note.txt")
  (func $must (param $error i32) (if (local.get $error) (then (call $exit (local.get $error)))))
  (func (export "_start")
    (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 128) (i32.const 8) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 1024))
    (call $must (call $read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 4)))
    (call $must (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
