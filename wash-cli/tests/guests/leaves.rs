//! Ends in a function far from its main function.
//!! stdout: before\n
//!! exit: 42
//!! component-exit: 1
fn main() {
    println!("before");
    std::process::exit(42);
}
