//! Events: what happened in the lattice, in the past tense, as CloudEvents 1.0.
//!
//! Owns the envelope and the table of event names; `data` owns what each says. Refuses to know who publishes and who
//! listens. Invariants: an event of ours carries exactly the members other programs expect, and an event we do not know,
//! or cannot read, is kept as it is rather than lost.

mod data;
mod limit;
mod revoked;

use std::borrow::Cow;

use claims::HostId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

pub use crate::control::HostInventory;
pub use data::{
    ActorClaims, ActorScaleFailed, ActorScaled, ActorsStartFailed, ActorsStarted, ActorsStopped, ConfigChanged,
    HealthCheck, HostStarted, HostStopped, LinkApplied, LinkChanged, LinkFailed, ProviderClaims, ProviderStartFailed,
    ProviderStarted, ProviderStopped,
};
pub use limit::ActorLimitExceeded;
pub use revoked::{ActorRevoked, ProviderRevoked, RevokedBy};

const TYPE_PREFIX: &str = "com.wasmcloud.lattice.";

/// The table of events: each name once, with what it carries.
macro_rules! events {
    ($($(#[$doc:meta])* $kind:ident($data:ty) = $name:literal,)*) => {
        /// The events we know.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $($(#[$doc])* $kind,)*
        }

        impl EventKind {
            /// Every event we know.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name: the end of its type, and of its subject.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }

        /// What an event says.
        #[derive(Debug, Clone, PartialEq)]
        pub enum EventData {
            $($(#[$doc])* $kind($data),)*
            /// An event we do not know, or one of another program whose data are not what its name promises.
            Other {
                /// The full CloudEvents type.
                event_type: String,
                /// Its data.
                data: Value,
            },
        }

        impl EventData {
            /// Which event it is, `None` for [`EventData::Other`].
            #[must_use]
            pub fn kind(&self) -> Option<EventKind> {
                match self {
                    $(Self::$kind(_) => Some(EventKind::$kind),)*
                    Self::Other { .. } => None,
                }
            }

            fn to_value(&self) -> Value {
                match self {
                    $(Self::$kind(data) => serde_json::to_value(data).expect("event data have string keys"),)*
                    Self::Other { data, .. } => data.clone(),
                }
            }

            fn read(kind: EventKind, data: &Value) -> serde_json::Result<Self> {
                match kind {
                    $(EventKind::$kind => <$data>::deserialize(data).map(Self::$kind),)*
                }
            }
        }
    };
}

events! {
    /// A host joined.
    HostStarted(HostStarted) = "host_started",
    /// A host left in order.
    HostStopped(HostStopped) = "host_stopped",
    /// A host is alive, and what it runs.
    HostHeartbeat(HostInventory) = "host_heartbeat",
    /// Instances of an actor were added.
    ActorsStarted(ActorsStarted) = "actors_started",
    /// An actor could not be started.
    ActorsStartFailed(ActorsStartFailed) = "actors_start_failed",
    /// Instances of an actor were removed.
    ActorsStopped(ActorsStopped) = "actors_stopped",
    /// An actor has a new number of instances.
    ActorScaled(ActorScaled) = "actor_scaled",
    /// The number of instances of an actor could not be set.
    ActorScaleFailed(ActorScaleFailed) = "actor_scale_failed",
    /// A provider was started.
    ProviderStarted(ProviderStarted) = "provider_started",
    /// A provider could not be started.
    ProviderStartFailed(ProviderStartFailed) = "provider_start_failed",
    /// A provider ended.
    ProviderStopped(ProviderStopped) = "provider_stopped",
    /// A provider became healthy.
    HealthCheckPassed(HealthCheck) = "health_check_passed",
    /// A provider became unhealthy.
    HealthCheckFailed(HealthCheck) = "health_check_failed",
    /// A provider answered a health check and nothing changed.
    HealthCheckStatus(HealthCheck) = "health_check_status",
    /// A link was put. Every host says so.
    LinkdefSet(LinkChanged) = "linkdef_set",
    /// A link was deleted. Every host says so.
    LinkdefDeleted(LinkChanged) = "linkdef_deleted",
    /// A provider took a link. Ours; hosts of others do not send it.
    LinkdefApplied(LinkApplied) = "linkdef_applied",
    /// A provider refused a link. Ours; hosts of others do not send it.
    LinkdefFailed(LinkFailed) = "linkdef_failed",
    /// A link was given to a provider that does not say whether it serves it. Ours; hosts of others do not send it.
    LinkdefSent(LinkApplied) = "linkdef_sent",
    /// A link waits for an actor of which nothing is known yet. Ours; hosts of others do not send it.
    LinkdefWaiting(LinkApplied) = "linkdef_waiting",
    /// A configuration entry was set.
    ConfigSet(ConfigChanged) = "config_set",
    /// A configuration entry was removed.
    ConfigDeleted(ConfigChanged) = "config_deleted",
    /// An actor was stopped because a revocation list names it. Ours; hosts of others do not send it.
    ActorRevoked(ActorRevoked) = "actor_revoked",
    /// A provider was stopped because a revocation list names it. Ours; hosts of others do not send it.
    ProviderRevoked(ProviderRevoked) = "provider_revoked",
    /// Calls of an actor broke one of its limits. Ours; hosts of others do not send it.
    ActorLimitExceeded(ActorLimitExceeded) = "actor_limit_exceeded",
}

impl EventData {
    /// The full CloudEvents type.
    #[must_use]
    pub fn event_type(&self) -> String {
        match self {
            Self::Other { event_type, .. } => event_type.clone(),
            _ => format!("{TYPE_PREFIX}{}", self.name()),
        }
    }

    /// The end of the type, which is also the end of the subject. Types of others than lattice hosts are kept whole.
    #[must_use]
    pub fn name(&self) -> &str {
        match (self, self.kind()) {
            (_, Some(kind)) => kind.as_str(),
            (Self::Other { event_type, .. }, None) => event_type.strip_prefix(TYPE_PREFIX).unwrap_or(event_type),
            (_, None) => unreachable!("only `Other` has no kind"),
        }
    }

    fn from_parts(event_type: String, data: Value) -> Self {
        let kind = EventKind::of_type(&event_type);
        // Arrays would be read by position; nobody sends them.
        if let (Some(kind), true) = (kind, data.is_object())
            && let Ok(known) = Self::read(kind, &data)
        {
            return known;
        }
        Self::Other { event_type, data }
    }
}

impl EventKind {
    fn of_type(event_type: &str) -> Option<Self> {
        let name = event_type.strip_prefix(TYPE_PREFIX)?;
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// Who tells which event. What is said is not read, and need not be right: for whoever hears everything in a lattice
/// and reads little of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHead {
    /// Which event it is; none when we do not know it.
    pub kind: Option<EventKind>,
    /// As in [`Event::source`].
    pub source: String,
}

impl EventHead {
    /// Reads the head of a structured JSON CloudEvent.
    ///
    /// # Errors
    /// [`EventError`] when the envelope is malformed.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(rename = "type", borrow)]
            event_type: Cow<'a, str>,
            source: String,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| EventError::Json(error.to_string()))?;
        Ok(Self { kind: EventKind::of_type(&head.event_type), source: head.source })
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique, UUID text.
    pub id: String,
    /// Text of the id of the host it comes from; other programs put other texts.
    pub source: String,
    /// When it happened.
    pub time: OffsetDateTime,
    /// What happened.
    pub data: EventData,
}

/// Why bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or a required attribute is missing.
    #[error("not a CloudEvent: {0}")]
    Json(String),
    /// The time is not RFC 3339.
    #[error("not a CloudEvent: `time` is `{0}`, which is not an RFC 3339 time")]
    Time(String),
}

impl EventError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "malformed_event"
    }
}

#[derive(Serialize)]
struct Written<'a> {
    specversion: &'static str,
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    source: &'a str,
    datacontenttype: &'static str,
    time: &'a str,
    data: Value,
}

#[derive(Deserialize)]
struct Read {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    source: String,
    time: String,
    #[serde(default)]
    data: Value,
}

impl Event {
    /// An event of `source` with a new id. `time` may be a [`std::time::SystemTime`].
    #[must_use]
    pub fn new(source: &HostId, time: impl Into<OffsetDateTime>, data: EventData) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        Self { id, source: source.to_string(), time: time.into(), data }
    }

    /// The end of the type, such as `actor_scaled`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.data.name()
    }

    /// The time as RFC 3339 text, UTC.
    #[must_use]
    pub fn time_text(&self) -> String {
        let utc = self.time.checked_to_offset(UtcOffset::UTC).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        // RFC 3339 has no words for years beyond 0 to 9999, where only a broken clock lives.
        utc.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
    }

    /// Encodes it as a structured JSON CloudEvent.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&Written {
            specversion: "1.0",
            id: &self.id,
            event_type: &self.data.event_type(),
            source: &self.source,
            datacontenttype: "application/json",
            time: &self.time_text(),
            data: self.data.to_value(),
        })
        .expect("events have string keys")
    }

    /// Reads a structured JSON CloudEvent.
    ///
    /// # Errors
    /// [`EventError`] when the envelope is malformed. Data that are not what the name promises are no error, see
    /// [`EventData::Other`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        let read: Read = serde_json::from_slice(bytes).map_err(|error| EventError::Json(error.to_string()))?;
        let time = OffsetDateTime::parse(&read.time, &Rfc3339).map_err(|_| EventError::Time(read.time))?;
        Ok(Self { id: read.id, source: read.source, time, data: EventData::from_parts(read.event_type, read.data) })
    }
}
