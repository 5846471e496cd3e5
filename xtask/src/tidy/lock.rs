//! What `Cargo.lock` may hold: one TLS stack, and one copy of the packages whose types cross crates.

use std::collections::BTreeMap;

use super::checkout::Checkout;

const BANNED: &[&str] = &["aws-lc-rs", "openssl-sys", "native-tls", "rsa", "rustls-pemfile"];
const ONCE: &[&str] = &["rustls", "hyper", "http", "wasmparser", "ed25519-dalek"];

pub(super) fn complaints(checkout: &Checkout) -> Vec<String> {
    let Some(Ok(lock)) = checkout.text("Cargo.lock").map(|text| text.parse::<toml::Table>()) else {
        return vec!["Cargo.lock: missing or not TOML".to_owned()];
    };
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.get("package").and_then(|packages| packages.as_array()).into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(|value| value.as_str()).unwrap_or_default();
        versions.entry(text("name")).or_default().push(text("version"));
    }
    let banned = BANNED.iter().filter(|name| versions.contains_key(*name));
    let doubled = ONCE.iter().filter_map(|name| Some((name, versions.get(name).filter(|all| all.len() > 1)?)));
    let banned = banned.map(|name| format!("Cargo.lock: `{name}` must not be a dependency"));
    banned.chain(doubled.map(|(name, all)| format!("Cargo.lock: `{name}` twice: {}", all.join(", ")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_tls_stack_and_a_second_copy_are_named() {
        let package = |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let lock =
            [package("rsa", "0.9.0"), package("http", "0.2.1"), package("http", "1.0.0"), package("rustls", "1.0.0")];
        let found = complaints(&Checkout::of(&[("Cargo.lock", &lock.concat())]));
        assert_eq!(found, ["Cargo.lock: `rsa` must not be a dependency", "Cargo.lock: `http` twice: 0.2.1, 1.0.0"]);
    }

    #[test]
    fn a_missing_lock_is_a_complaint() {
        assert_eq!(complaints(&Checkout::of(&[])).len(), 1);
    }
}
