//! What a component imports and is not granted: hosts refuse it then, and the signer can be told first.
//!
//! Knows the world of a component; which contract an interface needs is the runtime's table. What is no component imports nothing
//! that could be told beforehand.

use std::collections::BTreeSet;

use wit_component::DecodedWasm;

/// Imports with the contract that each needs and that is not among the granted ones.
pub(super) fn not_granted(binary: &[u8], granted: &[String]) -> BTreeSet<(String, &'static str)> {
    let Ok(DecodedWasm::Component(resolve, world)) = wit_component::decode(binary) else { return BTreeSet::new() };
    let names = resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key));
    let needs = names.filter_map(|name| runtime::contract_of_import(&name).map(|contract| (name, contract)));
    needs.filter(|(_, contract)| !granted.iter().any(|granted| granted == contract)).collect()
}
