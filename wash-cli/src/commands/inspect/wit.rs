//! `wash inspect --wit`: the world of a component, as text.

use artifacts::Format;
use wit_component::WitPrinter;

use crate::terminal::{
    failure::{Failure, OrFail, Result},
    output::Output,
};

/// Why there is nothing to show of a file that is something else.
pub(super) fn none(shown: &str, found: &str) -> Failure {
    Failure::new(format!("`{shown}` has no WIT world: it is {found}, not a component"))
        .hint("leave out `--wit` to see the claims")
}

/// Renders what a component imports and exports.
pub(super) fn show(shown: &str, bytes: &[u8]) -> Result<Output> {
    let found = Format::of(bytes);
    if found != Format::Component {
        return Err(none(shown, &found.to_string()));
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
