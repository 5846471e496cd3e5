//! Panics, with a message and functions that have names.
//!! stderr: the cause of it
//!! trap: wasm `unreachable` instruction executed: in
#[inline(never)]
fn inner(text: &str) {
    panic!("the cause of it: {text}");
}

fn main() {
    inner("an argument");
}
