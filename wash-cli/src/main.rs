//! wash-cli
fn main() {}
