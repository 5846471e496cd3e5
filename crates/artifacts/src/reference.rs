//! References: where an artifact is, `registry/repository:tag` or `registry/repository@digest`.
//!
//! Parsed once, at the edge; asks nobody. Invariant: a [`Reference`] prints as a text that parses to itself, and all its
//! parts are within the grammar of the OCI distribution specification, so they can be put into a URL as they are.

use std::fmt;

use crate::digest::{Digest, DigestError};
use crate::text::excerpt;

/// Longest text looked at, bytes.
pub const MAX_REFERENCE: usize = 1024;
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;
const MAX_REGISTRY: usize = 253;

/// Where an artifact is.
///
/// ```
/// use artifacts::Reference;
///
/// let reference = Reference::parse("oci://Registry.test:5000/demo/echo:0.3.4", None)?;
/// assert_eq!(reference.registry(), "registry.test:5000");
/// assert_eq!(reference.repository(), "demo/echo");
/// assert_eq!(reference.tag(), Some("0.3.4"));
/// assert_eq!(reference.to_string(), "registry.test:5000/demo/echo:0.3.4");
///
/// let reference = Reference::parse("demo/echo", Some("registry.test"))?;
/// assert_eq!(reference.to_string(), "registry.test/demo/echo");
/// assert!(reference.is_latest());
/// # Ok::<(), artifacts::ReferenceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a reference. `oci://`, `http://` and `https://` are dropped; registry, repository and digest are lower-cased,
    /// a tag stays as it is. The part before the first `/` is the registry when a scheme was there or it looks like a host
    /// (has a `.` or `:`, or is `localhost`); otherwise the reference is taken to be within `default_registry`.
    ///
    /// # Errors
    /// [`ReferenceError`] naming the part that is no good.
    pub fn parse(text: &str, default_registry: Option<&str>) -> Result<Self, ReferenceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let whole = text.len() + default_registry.map_or(0, |registry| registry.len() + 1);
        if whole > MAX_REFERENCE {
            return Err(ReferenceError::TooLong { limit: MAX_REFERENCE });
        }
        let (rest, had_scheme) = strip_scheme(text);
        match rest.split_once('/') {
            Some((registry, path)) if had_scheme || looks_like_a_host(&registry.to_ascii_lowercase()) => {
                Self::from_parts(registry, path)
            }
            _ => {
                let default = default_registry.map(|registry| strip_scheme(registry.trim()).0.trim_matches('/'));
                let default = default.filter(|registry| !registry.is_empty() && !had_scheme);
                let default = default.ok_or_else(|| ReferenceError::NoRegistry { reference: excerpt(text) })?;
                let (registry, namespace) = default.split_once('/').unwrap_or((default, ""));
                let separator = if namespace.is_empty() { "" } else { "/" };
                Self::from_parts(registry, &format!("{namespace}{separator}{}", rest.trim_start_matches('/')))
            }
        }
    }

    fn from_parts(registry: &str, path: &str) -> Result<Self, ReferenceError> {
        let registry = registry.to_ascii_lowercase();
        if !is_registry(&registry) {
            return Err(ReferenceError::BadRegistry { registry: excerpt(&registry) });
        }
        let (name, digest) = match path.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.to_ascii_lowercase().parse().map_err(ReferenceError::BadDigest)?;
                (name, Some(digest))
            }
            None => (path, None),
        };
        let (repository, tag) = match name.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (name, None),
        };
        let repository = repository.to_ascii_lowercase();
        if !is_repository(&repository) {
            return Err(ReferenceError::BadRepository { repository: excerpt(&repository) });
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::BadTag { tag: excerpt(tag) });
        }
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest })
    }

    /// The authority of the registry, `host` or `host:port`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name within the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, if one was written.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether this is whatever was pushed last: the tag `latest` or no tag, and no digest. Capitals make no difference:
    /// older peers ask for this tag in lower case.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        self.digest.is_none() && self.tag.as_deref().is_none_or(|tag| tag.eq_ignore_ascii_case("latest"))
    }

    /// The same place, pinned to a manifest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The repository in the words of the registry.
    pub(crate) fn api_repository(&self) -> String {
        if is_docker_hub(&self.registry) && !self.repository.contains('/') {
            format!("library/{}", self.repository)
        } else {
            self.repository.clone()
        }
    }

    /// What a manifest is asked for by: the digest if there is one, else the tag.
    pub(crate) fn manifest_name(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the scheme a bare name would read as the first part of a repository.
        let scheme = if looks_like_a_host(&self.registry) { "" } else { "oci://" };
        write!(f, "{scheme}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The authority as it is looked up in lists of registries: lower case, without scheme and path.
pub(crate) fn authority(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let rest = strip_scheme(&text).0;
    let authority = rest.split('/').next().unwrap_or_default();
    if is_docker_hub(authority) { "docker.io".to_owned() } else { authority.to_owned() }
}

/// The authority requests go to: Docker Hub answers elsewhere than it is named.
pub(crate) fn api_authority(registry: &str) -> &str {
    if is_docker_hub(registry) { "registry-1.docker.io" } else { registry }
}

pub(crate) fn is_docker_hub(registry: &str) -> bool {
    matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

pub(crate) fn strip_scheme(text: &str) -> (&str, bool) {
    let without = |scheme: &&str| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let stripped = ["oci://", "https://", "http://"].iter().find_map(without);
    (stripped.unwrap_or(text), stripped.is_some())
}

fn looks_like_a_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(crate) fn is_registry(text: &str) -> bool {
    let digits = |text: &str| (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let (host_fits, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), port),
            None => (false, ""),
        },
        None => {
            let (host, port) = text.find(':').map_or((text, ""), |colon| text.split_at(colon));
            (host.len() <= MAX_REGISTRY && host.split('.').all(label), port)
        }
    };
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .filter(|port| digits(port))
            .is_some_and(|port| port.parse::<u16>().is_ok_and(|p| p > 0));
    port_fits && host_fits
}

/// Parts of letters and digits, joined within by `.`, `_`, `__` or hyphens, and with each other by `/`.
fn is_repository(text: &str) -> bool {
    text.len() <= MAX_REPOSITORY && text.split('/').all(is_repository_part)
}

fn is_repository_part(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (part.bytes().next(), part.bytes().last()) else { return false };
    let joints = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|joint| !joint.is_empty());
    alphanumeric(first)
        && alphanumeric(last)
        && joints.into_iter().all(|joint| matches!(joint, "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=MAX_TAG).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with(['.', '-'])
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("the artifact reference is empty")]
    Empty,
    /// Beyond [`MAX_REFERENCE`].
    #[error("the artifact reference is longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// No registry in it, and none to assume.
    #[error("`{reference}` names no registry")]
    NoRegistry {
        /// The reference.
        reference: String,
    },
    /// The part before the first `/` is no host.
    #[error("`{registry}` is not a registry; one is `host` or `host:port`")]
    BadRegistry {
        /// The part.
        registry: String,
    },
    /// The part between registry and tag is no repository.
    #[error(
        "`{repository}` is not a repository; one has lower-case letters, digits and `.`, `_`, `-`, `/` between them"
    )]
    BadRepository {
        /// The part.
        repository: String,
    },
    /// The part after `:` is no tag.
    #[error("`{tag}` is not a tag; one has letters, digits, `.`, `_` and `-`, 128 at most")]
    BadTag {
        /// The part.
        tag: String,
    },
    /// The part after `@` is no digest.
    #[error("the digest in the artifact reference is no good")]
    BadDigest(#[source] DigestError),
}

impl ReferenceError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_reference",
            Self::TooLong { .. } => "reference_too_long",
            Self::NoRegistry { .. } => "no_registry",
            Self::BadRegistry { .. } => "bad_registry",
            Self::BadRepository { .. } => "bad_repository",
            Self::BadTag { .. } => "bad_tag",
            Self::BadDigest(source) => source.code(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::NoRegistry { reference } => {
                format!("write `registry/{reference}`, or name the registry with `--registry` or `WASH_REG_URL`")
            }
            _ => "write it as `registry/repository:tag` or `registry/repository@sha256:…`".to_owned(),
        }
    }
}
