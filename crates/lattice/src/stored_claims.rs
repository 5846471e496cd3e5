//! What the lattice remembers of the claims of its actors and providers: KV entries, and rows of `get.claims`.
//!
//! Owns both forms. Refuses to verify anything: whoever stores claims has verified the artifact. Invariants: the KV form
//! is written with one spelling of each member, because others refuse two, and read with either; a row has both.

use std::collections::BTreeMap;

use claims::{AccountId, ActorId, ActorMetadata, Claims, ProviderId, ProviderMetadata, PublicKey};
use serde_json::{Map, Value, json};

/// Claims of an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredActor {
    /// The actor.
    pub id: ActorId,
    /// The account that signed it.
    pub issuer: AccountId,
    /// Name for people.
    pub name: String,
    /// Contracts it may use.
    pub capabilities: Vec<String>,
    /// Free tags.
    pub tags: Vec<String>,
    /// Revision.
    pub revision: i64,
    /// Version for people.
    pub version: String,
    /// Name by which other actors may call it.
    pub call_alias: Option<String>,
}

/// Claims of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProvider {
    /// The provider.
    pub id: ProviderId,
    /// The account that signed it.
    pub issuer: AccountId,
    /// Name for people.
    pub name: String,
    /// Contract it serves.
    pub contract_id: String,
    /// Revision; the time of signing when the claims have none.
    pub revision: i64,
    /// Version for people.
    pub version: String,
    /// JSON schema of its link values, as text.
    pub config_schema: Option<String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredClaims {
    /// Of an actor.
    Actor(StoredActor),
    /// Of a provider.
    Provider(StoredProvider),
}

/// Why bytes are not stored claims.
#[derive(Debug, thiserror::Error)]
pub enum StoredClaimsError {
    /// Not a JSON object.
    #[error("stored claims are not a JSON object")]
    NotAnObject,
    /// A member is missing.
    #[error("stored claims have no `{member}`")]
    Missing {
        /// The member.
        member: &'static str,
    },
    /// A member is malformed.
    #[error("stored claims: `{member}` is not {expected}")]
    Member {
        /// The member.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl StoredClaimsError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "malformed_stored_claims"
    }
}

impl StoredActor {
    /// What is remembered of the signed claims of `id`.
    #[must_use]
    pub fn new(id: ActorId, issuer: AccountId, claims: &Claims<ActorMetadata>) -> Self {
        let metadata = claims.metadata.clone().unwrap_or_default();
        Self {
            id,
            issuer,
            name: metadata.name.unwrap_or_default(),
            capabilities: metadata.caps.unwrap_or_default(),
            tags: metadata.tags.unwrap_or_default(),
            revision: metadata.rev.unwrap_or_default().into(),
            version: metadata.ver.unwrap_or_default(),
            call_alias: metadata.call_alias.filter(|alias| !alias.is_empty()),
        }
    }
}

impl StoredProvider {
    /// What is remembered of the signed claims of `id`.
    #[must_use]
    pub fn new(id: ProviderId, issuer: AccountId, claims: &Claims<ProviderMetadata>) -> Self {
        let metadata = claims.metadata.clone().unwrap_or_default();
        let revision = match metadata.rev {
            Some(revision) => revision.into(),
            None => i64::try_from(claims.issued_at).unwrap_or(i64::MAX),
        };
        Self {
            id,
            issuer,
            name: metadata.name.unwrap_or_default(),
            contract_id: metadata.capid,
            revision,
            version: metadata.ver.unwrap_or_default(),
            config_schema: metadata.config_schema.map(|schema| schema.to_string()),
        }
    }
}

impl StoredClaims {
    /// Whose claims these are.
    #[must_use]
    pub fn subject(&self) -> PublicKey {
        match self {
            Self::Actor(actor) => actor.id.into(),
            Self::Provider(provider) => provider.id.into(),
        }
    }

    /// The account that signed.
    #[must_use]
    pub fn issuer(&self) -> AccountId {
        match self {
            Self::Actor(actor) => actor.issuer,
            Self::Provider(provider) => provider.issuer,
        }
    }

    /// The name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Actor(actor) => &actor.name,
            Self::Provider(provider) => &provider.name,
        }
    }

    /// The value of the KV entry.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let value = match self {
            Self::Actor(actor) => json!({
                // Others cannot read null here.
                "call_alias": actor.call_alias.as_deref().unwrap_or_default(),
                "capabilities": actor.capabilities,
                "issuer": actor.issuer,
                "name": actor.name,
                "revision": actor.revision.to_string(),
                "subject": actor.id,
                "tags": actor.tags,
                "version": actor.version,
            }),
            Self::Provider(provider) => {
                let mut value = json!({
                    "contract_id": provider.contract_id,
                    "issuer": provider.issuer,
                    "name": provider.name,
                    "revision": provider.revision.to_string(),
                    "subject": provider.id,
                    "version": provider.version,
                });
                if let Some(schema) = &provider.config_schema {
                    value["config_schema"] = schema.as_str().into();
                }
                value
            }
        };
        value.to_string().into_bytes()
    }

    /// Reads the value of a KV entry, in the spelling of any host. Whose claims they are follows from the subject:
    /// old hosts wrote `caps` for providers too.
    ///
    /// # Errors
    /// [`StoredClaimsError`], naming the member.
    pub fn from_json(bytes: &[u8]) -> Result<Self, StoredClaimsError> {
        let Ok(Value::Object(object)) = serde_json::from_slice(bytes) else {
            return Err(StoredClaimsError::NotAnObject);
        };
        let entry = Entry(&object);
        let subject: PublicKey = entry.key(SUBJECT, "an actor or provider id")?;
        if let Ok(id) = ActorId::try_from(subject) {
            Ok(Self::Actor(StoredActor {
                id,
                issuer: entry.key(ISSUER, "an account id")?,
                name: entry.text(NAME)?,
                capabilities: entry.list(CAPABILITIES)?,
                tags: entry.list(TAGS)?,
                revision: entry.revision()?,
                version: entry.text(VERSION)?,
                call_alias: Some(entry.text(CALL_ALIAS)?).filter(|alias| !alias.is_empty()),
            }))
        } else if let Ok(id) = ProviderId::try_from(subject) {
            Ok(Self::Provider(StoredProvider {
                id,
                issuer: entry.key(ISSUER, "an account id")?,
                name: entry.text(NAME)?,
                contract_id: entry.text(CONTRACT_ID)?,
                revision: entry.revision()?,
                version: entry.text(VERSION)?,
                config_schema: Some(entry.text(CONFIG_SCHEMA)?).filter(|schema| !schema.is_empty()),
            }))
        } else {
            Err(StoredClaimsError::Member { member: SUBJECT[0], expected: "an actor or provider id" })
        }
    }

    /// A row of `get.claims`: strings only, each member under its old and its new name.
    #[must_use]
    pub fn to_row(&self) -> BTreeMap<String, String> {
        let (revision, version) = match self {
            Self::Actor(actor) => (actor.revision, &actor.version),
            Self::Provider(provider) => (provider.revision, &provider.version),
        };
        let mut row = Row::default();
        row.put(SUBJECT, self.subject().as_str());
        row.put(ISSUER, self.issuer().as_str());
        row.put(NAME, self.name());
        row.put(REVISION, &revision.to_string());
        row.put(VERSION, version);
        match self {
            Self::Actor(actor) => {
                row.put(CAPABILITIES, &actor.capabilities.join(","));
                row.put(TAGS, &actor.tags.join(","));
                row.put(CALL_ALIAS, actor.call_alias.as_deref().unwrap_or_default());
            }
            Self::Provider(provider) => {
                row.put(CONTRACT_ID, &provider.contract_id);
                row.put(CONFIG_SCHEMA, provider.config_schema.as_deref().unwrap_or_default());
            }
        }
        row.0
    }
}

/// The spellings of one member, the one we write first.
type Spellings = &'static [&'static str];

const SUBJECT: Spellings = &["subject", "sub"];
const ISSUER: Spellings = &["issuer", "iss"];
const NAME: Spellings = &["name"];
const CAPABILITIES: Spellings = &["capabilities", "caps"];
const TAGS: Spellings = &["tags"];
const REVISION: Spellings = &["revision", "rev"];
const VERSION: Spellings = &["version"];
const CALL_ALIAS: Spellings = &["call_alias"];
const CONTRACT_ID: Spellings = &["contract_id"];
const CONFIG_SCHEMA: Spellings = &["config_schema"];

#[derive(Default)]
struct Row(BTreeMap<String, String>);

impl Row {
    fn put(&mut self, spellings: Spellings, value: &str) {
        for name in spellings {
            self.0.insert((*name).to_owned(), value.to_owned());
        }
    }
}

struct Entry<'a>(&'a Map<String, Value>);

impl<'a> Entry<'a> {
    fn get(&self, spellings: Spellings) -> Option<&'a Value> {
        spellings.iter().filter_map(|name| self.0.get(*name)).find(|value| !value.is_null())
    }

    /// A string; absent is empty.
    fn text(&self, spellings: Spellings) -> Result<String, StoredClaimsError> {
        match self.get(spellings) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(StoredClaimsError::Member { member: spellings[0], expected: "a string" }),
        }
    }

    /// An id; required.
    fn key<T: std::str::FromStr>(&self, spellings: Spellings, expected: &'static str) -> Result<T, StoredClaimsError> {
        let member = spellings[0];
        let value = self.get(spellings).ok_or(StoredClaimsError::Missing { member })?;
        value.as_str().and_then(|text| text.parse().ok()).ok_or(StoredClaimsError::Member { member, expected })
    }

    /// A list of strings, or a string with commas between.
    fn list(&self, spellings: Spellings) -> Result<Vec<String>, StoredClaimsError> {
        let wrong = || StoredClaimsError::Member { member: spellings[0], expected: "a list of strings" };
        match self.get(spellings) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
            }
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A decimal string, or a number.
    fn revision(&self) -> Result<i64, StoredClaimsError> {
        match self.get(REVISION) {
            None => Some(0),
            Some(Value::String(text)) if text.is_empty() => Some(0),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_i64(),
        }
        .ok_or(StoredClaimsError::Member { member: REVISION[0], expected: "a decimal number" })
    }
}
