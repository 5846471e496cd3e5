//! Interfaces by name, whatever their version: what a component exports, and where its functions are.

use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex},
};

use crate::error::LoadError;

/// Whether `name` is `interface`, without a version or with one of the line 0.2.
pub(super) fn known_as(name: &str, interface: &str) -> bool {
    match name.strip_prefix(interface) {
        Some("") => true,
        Some(version) => version.starts_with("@0.2."),
        None => false,
    }
}

/// Whether `name` is `interface` in a version of the line 0.3; drafts before it are something else.
pub(super) fn is_newer(name: &str, interface: &str) -> bool {
    let patch = name.strip_prefix(interface).and_then(|version| version.strip_prefix("@0.3."));
    patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A function of an exported interface, whatever its 0.3 version.
pub(super) fn newer_function(
    engine: &Engine,
    component: &Component,
    interface: &str,
    name: &str,
) -> Option<ComponentExportIndex> {
    let ty = component.component_type();
    let interface = ty.exports(engine).map(|(name, _)| name).find(|name| is_newer(name, interface))?;
    let interface = component.get_export_index(None, interface)?;
    component.get_export_index(Some(&interface), name)
}

pub(super) fn function(
    engine: &Engine,
    component: &Component,
    interface: &str,
    name: &str,
) -> Option<ComponentExportIndex> {
    let interface = export(engine, component, interface)?;
    let interface = component.get_export_index(None, interface.as_str())?;
    component.get_export_index(Some(&interface), name)
}

pub(super) fn entry_point(error: &wasmtime::Error) -> LoadError {
    LoadError::EntryPoint { reason: format!("an entry point has the wrong type: {error:#}") }
}

/// The full name of an exported interface, whatever its 0.2 version.
pub(super) fn export(engine: &Engine, component: &Component, interface: &str) -> Option<String> {
    let ty = component.component_type();
    ty.exports(engine).map(|(name, _)| name).find(|name| known_as(name, interface)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_0_3_is_what_is_meant_not_its_drafts() {
        let known = |name| is_newer(name, "wasi:http/types");
        assert!(known("wasi:http/types@0.3.0") && known("wasi:http/types@0.3.12"));
        for other in ["wasi:http/types", "wasi:http/types@0.2.3", "wasi:http/types@0.3.0-rc-2025-09-16", "wasi:http/t"]
        {
            assert!(!known(other), "{other}");
        }
    }
}
