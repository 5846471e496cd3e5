//! Opens a socket, which needs a grant. (WASI preview 1 cannot open any.)
//!! case: without the grant
//!! stdout: false\n
//!! case: with the grant
//!! kinds: component
//!! options: --allow-net
//!! stdout: true\n
use std::net::TcpListener;

fn main() {
    println!("{}", TcpListener::bind("127.0.0.1:0").is_ok());
}
