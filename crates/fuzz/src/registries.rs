//! What registries and `docker login` write: challenges, and `config.json`.

use artifacts::challenge::{self, Challenge};
use artifacts::docker_config::{DockerConfig, Source};

/// The input as values of `WWW-Authenticate`, one a line.
pub fn challenge(data: &[u8]) {
    let values: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let found = match challenge::read(values.iter().copied()) {
        Ok(found) => found,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(!error.to_string().contains(char::is_control), "{error}");
            return;
        }
    };
    // Each is worth asking once, and the password goes last.
    assert!(!found.is_empty());
    for (at, challenge) in found.iter().enumerate() {
        assert!(!found[..at].contains(challenge), "{challenge:?} twice");
        assert!(*challenge != Challenge::Basic || at + 1 == found.len(), "{found:?}");
    }
    assert_eq!(challenge::read(values.iter().copied()), Ok(found.clone()), "the same every time");
    // Rendered by the grammar they say the same.
    let rendered: Vec<String> = found.iter().map(render).collect();
    let again = challenge::read(rendered.iter().map(String::as_bytes));
    assert_eq!(again, Ok(found), "{rendered:?}");
}

fn render(challenge: &Challenge) -> String {
    let Challenge::Token { realm, service, scope } = challenge else { return "Basic realm=\"x\"".to_owned() };
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!("Bearer realm = \"{}\"", quoted(realm.as_str()));
    for (name, value) in [("service", service), ("scope", scope)] {
        if let Some(value) = value {
            text.push_str(&format!(" ,{name}=\"{}\"", quoted(value)));
        }
    }
    text
}

/// The first line as `registry/repository`, the rest as a configuration.
pub fn docker_config(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let Ok(place) = std::str::from_utf8(&data[..end]) else { return };
    let (registry, repository) = place.split_once('/').unwrap_or((place, ""));
    let text = data.get(end + 1..).unwrap_or_default();
    let config = match DockerConfig::parse(text) {
        Ok(config) => config,
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.starts_with("line ") && shown.len() < 100, "{shown}");
            return;
        }
    };
    let found = config.find(registry, repository);
    let again = DockerConfig::parse(text).and_then(|config| config.find(registry, repository));
    assert_eq!(found, again, "chance decides");
    if let Ok(Source::Helper { name, server }) = &found {
        assert!(!name.is_empty() && !server.is_empty());
    }
    // Where nothing is written down, nothing is found.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text).trim_ascii_start();
    assert!(text.starts_with(b"{") || text.starts_with(b"[") || found == Ok(Source::Nowhere), "{found:?}");
}
