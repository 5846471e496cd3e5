//! Components of WASI 0.3, told from those of 0.2 and, where they do not run, from broken ones.
//!
//! Where they do not run this is asked only after a load has failed, because then a second look at the binary costs
//! nothing that matters. Invariant: an error that has nothing to do with WASI 0.3 passes through unchanged.

use wasmparser::{Parser, Payload};

use crate::error::LoadError;

/// Interfaces that are named; a component may have many more.
const NAMED: usize = 10;

/// The error of a load, or the better one for a component of WASI 0.3.
pub(crate) fn explained(error: LoadError, wasm: &[u8]) -> LoadError {
    let may_be_why =
        matches!(error, LoadError::Invalid { .. } | LoadError::UnknownImports { .. } | LoadError::EntryPoint { .. });
    if !may_be_why {
        return error;
    }
    match interfaces(wasm) {
        Ok(interfaces) if !interfaces.is_empty() => LoadError::NewerWasi { interfaces },
        _ => error,
    }
}

/// Whether these bytes are a component that imports or exports something of WASI 0.3. What is broken is not.
pub(crate) fn is_in(wasm: &[u8]) -> bool {
    Parser::is_component(wasm) && interfaces(wasm).is_ok_and(|interfaces| !interfaces.is_empty())
}

/// What the component itself imports and exports of WASI 0.3, not what is inside of it.
fn interfaces(wasm: &[u8]) -> wasmparser::Result<Vec<String>> {
    let (mut found, mut inside) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(wasm) {
        let names: Vec<&str> = match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                inside += 1;
                continue;
            }
            Payload::End(_) if inside > 0 => {
                inside -= 1;
                continue;
            }
            _ if inside > 0 => continue,
            Payload::ComponentImportSection(imports) => {
                imports.into_iter().map(|import| Ok(import?.name.name)).collect::<wasmparser::Result<_>>()?
            }
            Payload::ComponentExportSection(exports) => {
                exports.into_iter().map(|export| Ok(export?.name.name)).collect::<wasmparser::Result<_>>()?
            }
            _ => continue,
        };
        let newer = names.into_iter().filter(|name| name.starts_with("wasi:") && name.contains("@0.3."));
        found.extend(newer.map(str::to_owned).take(NAMED - found.len()));
    }
    Ok(found)
}
