//! Reading link values: which key is wrong, why, and what would be right.
//!
//! Owns what all contracts share: keys in any case, and settings given flat or together as JSON in `config_json` or
//! `config_b64`. Knows no contract. Invariant: a key is used, refused or
//! named as one without effect, never ignored in silence.

use std::collections::BTreeMap;

use serde_json::Value;

/// Link values as they travel: free text by key, as the operator typed them (protocol section 3.3).
pub type Values = BTreeMap<String, String>;

/// A link value that its contract cannot use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("link value `{key}`: {reason}")]
pub struct LinkValueError {
    /// The key, as the operator wrote it.
    pub key: String,
    /// What is wrong with it and what is expected.
    pub reason: String,
}

impl LinkValueError {
    /// Names the key and the reason.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }
}

const CONFIG_JSON: &str = "config_json";
const CONFIG_B64: &str = "config_b64";
const CONFIG_FILE: &str = "config_file";

/// The settings of one link by lower-case name. A flat value wins over a member of the JSON.
#[derive(Debug)]
pub struct Settings(BTreeMap<String, Setting>);

/// One setting and where it came from.
#[derive(Debug)]
pub struct Setting {
    key: String,
    value: Value,
}

impl Settings {
    /// Gathers the settings; `known` are the names a contract reads, in lower case.
    ///
    /// # Errors
    /// [`LinkValueError`] for JSON that cannot be read, a key given twice, and a key that is not `known`.
    pub fn collect(values: &Values, known: &[&str]) -> Result<Self, LinkValueError> {
        let settings = Self::gather(values)?;
        match settings.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(settings),
            Some((_, unknown)) => {
                let names: Vec<String> =
                    known.iter().chain(&[CONFIG_JSON, CONFIG_B64]).map(|name| format!("`{name}`")).collect();
                Err(unknown.error(format!("not a key of this contract; it has {}", names.join(", "))))
            }
        }
    }

    /// Gathers the settings of a contract whose providers of other makers pass over keys that they do not know. Those are
    /// given beside the settings, as the operator wrote them, so that somebody can say that they have no effect.
    ///
    /// # Errors
    /// [`LinkValueError`] for JSON that cannot be read and a key given twice.
    pub fn collect_known(values: &Values, known: &[&str]) -> Result<(Self, Vec<String>), LinkValueError> {
        let mut settings = Self::gather(values)?;
        let unknown = settings.0.extract_if(.., |name, _| !known.contains(&name.as_str()));
        let unknown = unknown.map(|(_, setting)| setting.key).collect();
        Ok((settings, unknown))
    }

    fn gather(values: &Values) -> Result<Self, LinkValueError> {
        let (mut json, mut flat) = (None, BTreeMap::new());
        for (key, text) in values {
            match key.to_ascii_lowercase().as_str() {
                CONFIG_FILE => {
                    let reason =
                        format!("a link cannot make a provider read a file; give its content as `{CONFIG_JSON}`");
                    return Err(LinkValueError::new(key, reason));
                }
                name @ (CONFIG_JSON | CONFIG_B64) => {
                    if json.is_some() {
                        let reason = format!("give either `{CONFIG_JSON}` or `{CONFIG_B64}`, once");
                        return Err(LinkValueError::new(key, reason));
                    }
                    json = Some(if name == CONFIG_B64 {
                        from_base64(key, text)?
                    } else {
                        from_json(key, text.as_bytes())?
                    });
                }
                name => {
                    insert(&mut flat, name, Setting { key: key.clone(), value: Value::String(text.clone()) })?;
                }
            }
        }
        let mut settings = json.unwrap_or_default();
        settings.append(&mut flat);
        Ok(Self(settings))
    }

    /// Takes one setting out.
    pub fn take(&mut self, name: &str) -> Option<Setting> {
        self.0.remove(name)
    }
}

impl Setting {
    /// An error that names this setting as the operator wrote it.
    pub fn error(&self, reason: impl Into<String>) -> LinkValueError {
        LinkValueError::new(&self.key, reason)
    }

    /// The value as text.
    ///
    /// # Errors
    /// [`LinkValueError`] when it is something else.
    pub fn text(&self) -> Result<&str, LinkValueError> {
        self.value.as_str().ok_or_else(|| self.error(format!("`{}` is not text", self.value)))
    }

    /// The value as a whole number from 0, written as a number or as text.
    ///
    /// # Errors
    /// [`LinkValueError`] when it is something else.
    pub fn number(&self) -> Result<u64, LinkValueError> {
        let number = self.value.as_u64().or_else(|| self.value.as_str()?.trim().parse().ok());
        number.ok_or_else(|| self.error(format!("{} is not a whole number", self.shown())))
    }

    /// The value as a size in bytes: a whole number, or one with `K`, `M` or `G` (of 1024), as in `20M`, `20MB`, `20MiB`.
    ///
    /// # Errors
    /// [`LinkValueError`] when it is something else.
    pub fn size(&self) -> Result<u64, LinkValueError> {
        let size = self.value.as_u64().or_else(|| size(self.value.as_str()?));
        let error = || self.error(format!("{} is not a size, which is written as `1048576` or `20M`", self.shown()));
        size.ok_or_else(error)
    }

    /// The value as yes or no: `true` or `false`, as such or as text in any case; also `yes` and `no`, `on` and `off`, `1`
    /// and `0`.
    ///
    /// # Errors
    /// [`LinkValueError`] when it is something else.
    pub fn boolean(&self) -> Result<bool, LinkValueError> {
        let text = self.value.as_str().map(|text| text.trim().to_ascii_lowercase());
        let boolean = self.value.as_bool().or_else(|| match text?.as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        });
        boolean.ok_or_else(|| self.error(format!("{} is neither `true` nor `false`", self.shown())))
    }

    /// Whether nothing is asked for: empty text, or an object or list of nothing but that.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        blank(&self.value)
    }

    fn shown(&self) -> String {
        match &self.value {
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        }
    }
}

fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members.values().all(blank),
        Value::Array(items) => items.iter().all(blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn insert(settings: &mut BTreeMap<String, Setting>, name: &str, setting: Setting) -> Result<(), LinkValueError> {
    match settings.get(name) {
        Some(first) => Err(setting.error(format!("given twice, the other time as `{}`", first.key))),
        None => {
            settings.insert(name.to_owned(), setting);
            Ok(())
        }
    }
}

/// Members that are null count as absent.
fn from_json(key: &str, text: &[u8]) -> Result<BTreeMap<String, Setting>, LinkValueError> {
    let members: serde_json::Map<String, Value> = serde_json::from_slice(text)
        .map_err(|error| LinkValueError::new(key, format!("not a JSON object: {error}")))?;
    let mut settings = BTreeMap::new();
    for (member, value) in members {
        if !value.is_null() {
            let setting = Setting { key: format!("{key}.{member}"), value };
            insert(&mut settings, &member.to_ascii_lowercase(), setting)?;
        }
    }
    Ok(settings)
}

/// Base64 is written without padding; padding is tolerated.
fn from_base64(key: &str, text: &str) -> Result<BTreeMap<String, Setting>, LinkValueError> {
    let json = data_encoding::BASE64_NOPAD
        .decode(text.trim().trim_end_matches('=').as_bytes())
        .map_err(|error| LinkValueError::new(key, format!("not base64: {error}")))?;
    from_json(key, &json)
}
