//! Returns an error from its main function.
//!! exit: 1
//!! stderr: Error: "no luck"
fn main() -> Result<(), String> {
    Err("no luck".to_owned())
}
