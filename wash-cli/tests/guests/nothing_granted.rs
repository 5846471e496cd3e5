//! Looks for anything of this machine, and finds nothing.
//!! stdout: vars: 0\nroot: false\nhere: false\nfile: false\nnetwork: false\n
use std::{env, fs, net::TcpStream};

fn main() {
    println!("vars: {}", env::vars().count());
    println!("root: {}", fs::read_dir("/").is_ok());
    println!("here: {}", fs::read_dir(".").is_ok());
    println!("file: {}", fs::read_to_string("/etc/passwd").is_ok());
    println!("network: {}", TcpStream::connect("127.0.0.1:1").is_ok());
}
