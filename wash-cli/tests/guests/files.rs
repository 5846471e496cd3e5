//! Makes, lists, renames, reads and removes files with the standard library.
//!! file: data/old.txt=old
//!! options: --dir data::/data
//!! stdout: ["new.txt", "old.txt"]\nsome words, 10 bytes\nleft: ["old.txt"]\n
use std::{fs, io::Write as _};

fn names() -> Vec<String> {
    let entries = fs::read_dir("/data").expect("a directory");
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn main() {
    fs::create_dir("/data/deep").unwrap();
    fs::File::create("/data/deep/new.txt").unwrap().write_all(b"some words").unwrap();
    fs::rename("/data/deep/new.txt", "/data/new.txt").unwrap();
    fs::remove_dir("/data/deep").unwrap();
    println!("{:?}", names());
    let text = fs::read_to_string("/data/new.txt").unwrap();
    println!("{text}, {} bytes", fs::metadata("/data/new.txt").unwrap().len());
    fs::remove_file("/data/new.txt").unwrap();
    println!("left: {:?}", names());
}
