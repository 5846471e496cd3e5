//! Wasm that is rewritten before it is compiled: what was valid stays valid, and to the outside it stays what it was.

use runtime::memory_headroom;
use wasmparser::{Payload, Validator};

/// A rewritten module is valid when the original was, and imports and exports the same under the same names.
pub fn memory_room(data: &[u8]) {
    let Some(rewritten) = memory_headroom::give(data) else { return };
    if Validator::new().validate_all(data).is_err() {
        return;
    }
    if let Err(error) = Validator::new().validate_all(&rewritten) {
        panic!("not valid any more: {error}");
    }
    assert_eq!(outside(data), outside(&rewritten));
}

/// Imports and exports, of whatever is in it.
fn outside(wasm: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.expect("it is valid") {
            Payload::ImportSection(imports) => names.extend(imports.into_imports().map(|import| format!("{import:?}"))),
            Payload::ExportSection(exports) => names.extend(exports.into_iter().map(|export| format!("{export:?}"))),
            Payload::ComponentExportSection(exports) => {
                names.extend(exports.into_iter().map(|export| format!("{:?}", export.map(|export| export.name.name))));
            }
            _ => {}
        }
    }
    names
}
