//! `wash inspect --wit`: the world of a component, as text.

use wit_component::WitPrinter;

use crate::{
    failure::{Failure, OrFail, Result},
    output::Output,
};

/// The first bytes of a component: its magic number and the layer it is on.
fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[1, 0])
}

/// Renders what a component imports and exports.
pub(super) fn show(shown: &str, bytes: &[u8]) -> Result<Output> {
    if !is_component(bytes) {
        return Err(Failure::new(format!("`{shown}` has no WIT world: it is not a component"))
            .hint("modules and provider archives have none; leave out `--wit` to see the claims"));
    }
    let doing = || format!("cannot read the world of `{shown}`");
    // `{:#}` is how these errors show their causes.
    let decoded =
        wit_component::decode(bytes).map_err(|error| Failure::new(format!("{error:#}"))).while_doing(doing)?;
    let mut printer = WitPrinter::default();
    printer
        .print(decoded.resolve(), decoded.package(), &[])
        .map_err(|error| Failure::new(format!("{error:#}")))
        .while_doing(doing)?;
    let text = printer.output.to_string();
    Ok(Output::text(text.clone()).with("wit", text))
}
