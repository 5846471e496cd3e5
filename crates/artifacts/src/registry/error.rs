//! Why a registry did not give, or take, what it was asked to.

use std::time::Duration;

use super::hint::{self, TlsFailure};
use crate::credentials::CredentialError;
use crate::digest::Digest;
use crate::manifest::ManifestError;
use crate::text::seconds;

/// Why a registry did not give, or take, what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The name of a registry is none.
    #[error("`{registry}` is not a registry; one is `host` or `host:port`")]
    NotARegistry {
        /// The name.
        registry: String,
    },
    /// A file of certificates is no good.
    #[error("cannot read certificates from `{path}`: {reason}")]
    Certificates {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// TLS cannot be set up on this machine.
    #[error("cannot set up TLS: {reason}")]
    TlsSetup {
        /// Why not.
        reason: String,
    },
    /// No connection.
    #[error("cannot reach `{registry}`")]
    Unreachable {
        /// The registry.
        registry: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("`{registry}` did not answer within {}", seconds(after))]
    Timeout {
        /// The registry.
        registry: String,
        /// How long it had.
        after: Duration,
    },
    /// It answers, but so slowly that nothing comes of it.
    #[error("`{registry}` is too slow: {}", slow(moved, within))]
    TooSlow {
        /// The registry.
        registry: String,
        /// What it moved, unless it was a short answer that never became complete.
        moved: Option<u64>,
        /// In which time.
        within: Duration,
    },
    /// The registry speaks plain HTTP where TLS was expected.
    #[error("`{registry}` does not speak TLS")]
    PlainHttp {
        /// The registry.
        registry: String,
    },
    /// The certificate of the registry is not trusted, or TLS failed in another way.
    #[error("cannot speak TLS with `{registry}`: {reason}")]
    Tls {
        /// The registry.
        registry: String,
        /// Why not.
        reason: String,
        /// Whether its certificate was issued by nobody we know.
        unknown_issuer: bool,
    },
    /// 401.
    #[error("`{registry}` does not let {} in{}", whom(user), said_by_it(said))]
    Unauthorized {
        /// The registry.
        registry: String,
        /// As whom we came.
        user: Option<String>,
        /// What it said.
        said: String,
    },
    /// 401 that says nothing we can answer.
    #[error("`{registry}` asks for credentials in a way that is not supported: {reason}")]
    Challenge {
        /// The registry.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// 403.
    #[error("`{registry}` refuses access to `{what}`{}", said_by_it(said))]
    Forbidden {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// What it said.
        said: String,
    },
    /// 404.
    #[error("`{registry}` has no `{what}`{}", said_by_it(said))]
    NotFound {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// What it said.
        said: String,
    },
    /// 429.
    #[error("`{registry}` takes no more requests for now{}", said_by_it(said))]
    TooManyRequests {
        /// The registry.
        registry: String,
        /// When to come again, as far as it says.
        retry_after: Option<Duration>,
        /// What it said.
        said: String,
    },
    /// 5xx.
    #[error("`{registry}` failed with {status}{}", said_by_it(said))]
    Server {
        /// The registry.
        registry: String,
        /// The status.
        status: u16,
        /// When to come again, as far as it says.
        retry_after: Option<Duration>,
        /// What it said.
        said: String,
    },
    /// Any other status, or an answer that makes no sense.
    #[error("`{registry}` answered with {status}{}", said_by_it(said))]
    Unexpected {
        /// The registry.
        registry: String,
        /// The status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// Redirects in a circle, or too many.
    #[error("`{registry}` redirects in a circle or more than {limit} times")]
    RedirectLoop {
        /// The registry.
        registry: String,
        /// The bound.
        limit: usize,
    },
    /// A redirect out of TLS, or to something that is no web address.
    #[error("`{registry}` redirects to `{to}`, which is not protected by TLS")]
    InsecureRedirect {
        /// The registry.
        registry: String,
        /// Where to.
        to: String,
    },
    /// The content is not what its digest says.
    #[error("{what} should be `{expected}` but is `{found}`")]
    DigestMismatch {
        /// What it is.
        what: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// More or fewer bytes than the manifest says, and not for want of a connection.
    #[error("{what} should have {expected} bytes but has {found}")]
    WrongLength {
        /// What it is.
        what: String,
        /// What was asked for.
        expected: u64,
        /// What came, at least.
        found: u64,
    },
    /// The connection ended in the middle, again and again.
    #[error("{what} broke off after {received} bytes")]
    CutShort {
        /// What it is.
        what: String,
        /// How much came.
        received: u64,
    },
    /// Beyond a bound.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// What it is.
        what: String,
        /// The bound.
        limit: u64,
    },
    /// The manifest is no good.
    #[error("cannot use the manifest of `{reference}`")]
    Manifest {
        /// Whose.
        reference: String,
        /// Why not.
        source: ManifestError,
    },
    /// The credentials cannot be had.
    #[error("cannot look up credentials for `{registry}`")]
    Credentials {
        /// For which registry.
        registry: String,
        /// Why not.
        source: CredentialError,
    },
    /// What comes cannot be written to disk.
    #[error("cannot write what is downloaded")]
    Disk(#[source] std::io::Error),
}

fn whom(user: &Option<String>) -> String {
    user.as_ref().map_or_else(|| "us".to_owned(), |user| format!("`{user}`"))
}

fn slow(moved: &Option<u64>, within: &Duration) -> String {
    let least = crate::pace::MIN_BYTES_PER_SECOND;
    match moved {
        Some(moved) => format!("{moved} bytes in {}, less than {least} a second", seconds(within)),
        None => format!("its answer was not complete after {}", seconds(within)),
    }
}

/// The tag of a reference as tools of before 1.0 push it and ask for it, where that is another one.
fn older_tag(reference: &str) -> Option<String> {
    let (_, tag) = reference.rsplit_once(':').filter(|(before, _)| before.contains('/'))?;
    let older = tag.to_ascii_lowercase();
    (older != tag).then_some(older)
}

fn said_by_it(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl RegistryError {
    /// What a failed request was about.
    pub(super) fn from_request(error: reqwest::Error, registry: &str, after: Duration) -> Self {
        let registry = registry.to_owned();
        // Addresses of redirects carry signatures that are as good as a password for a while.
        let error = error.without_url();
        match hint::tls_failure(&error) {
            Some(TlsFailure::NotTls) => return Self::PlainHttp { registry },
            Some(failure) => {
                let unknown_issuer = failure == TlsFailure::UnknownIssuer;
                return Self::Tls { registry, reason: hint::chain(&error), unknown_issuer };
            }
            None => {}
        }
        if error.is_timeout() {
            return Self::Timeout { registry, after };
        }
        Self::Unreachable { registry, source: error.into() }
    }

    /// Whether the registry is away, or will be there again soon: asking again later may help, and what is cached may
    /// be used meanwhile.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Timeout { .. }
                | Self::TooSlow { .. }
                | Self::TooManyRequests { .. }
                | Self::Server { .. }
                | Self::CutShort { .. }
        )
    }

    /// Whether asking again at once may help. One that drips would go on dripping.
    pub(super) fn is_worth_repeating(&self) -> bool {
        self.is_away() && !matches!(self, Self::TooSlow { .. })
    }

    /// When the registry wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after, .. } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotARegistry { .. } => "bad_registry",
            Self::Certificates { .. } => "bad_certificates",
            Self::TlsSetup { .. } => "tls_setup",
            Self::Unreachable { .. } => "registry_unreachable",
            Self::Timeout { .. } => "registry_timeout",
            Self::TooSlow { .. } => "registry_too_slow",
            Self::PlainHttp { .. } => "registry_without_tls",
            Self::Tls { .. } => "registry_tls",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Challenge { .. } => "unknown_challenge",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Server { .. } => "registry_failed",
            Self::Unexpected { .. } => "unexpected_answer",
            Self::RedirectLoop { .. } => "redirect_loop",
            Self::InsecureRedirect { .. } => "insecure_redirect",
            Self::DigestMismatch { .. } => "digest_mismatch",
            Self::WrongLength { .. } => "wrong_length",
            Self::CutShort { .. } => "cut_short",
            Self::TooLarge { .. } => "too_large",
            Self::Manifest { source, .. } => source.code(),
            Self::Credentials { source, .. } => source.code(),
            Self::Disk(_) => "disk",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::NotARegistry { .. } => "write it as `host` or `host:port`".to_owned(),
            Self::Certificates { .. } => "name a file with certificates in PEM form".to_owned(),
            Self::TlsSetup { .. } => {
                "install the certificates of the system (package `ca-certificates`), or name a file with `--ca-file`"
                    .to_owned()
            }
            Self::Unreachable { .. } => {
                "check the name and port of the registry, the network, and `HTTPS_PROXY` and `NO_PROXY`".to_owned()
            }
            Self::Timeout { .. } | Self::TooSlow { .. } => {
                "try again; check the network between here and the registry".to_owned()
            }
            Self::PlainHttp { registry } => {
                format!(
                    "if that is intended, allow plain HTTP for `{registry}` with `--insecure` (hosts: `--allowed-insecure {registry}`)"
                )
            }
            Self::Tls { unknown_issuer: true, .. } => {
                "name the certificate of its issuer with `--ca-file` (hosts: `--registry-ca`)".to_owned()
            }
            Self::Tls { .. } => "check the certificate of the registry and the clock of this machine".to_owned(),
            Self::Unauthorized { user: None, registry, .. } => {
                format!("give a user and a password (`--user`, `--password`), or `docker login {registry}`")
            }
            Self::Unauthorized { .. } => "check user and password".to_owned(),
            Self::Challenge { .. } => "use a registry with basic or token authentication".to_owned(),
            Self::Forbidden { .. } => "ask whoever runs the registry for access, or use other credentials".to_owned(),
            Self::NotFound { what, .. } if older_tag(what).is_some() => format!(
                "check the spelling, and that it was pushed; older tools push this under the tag `{}`",
                older_tag(what).unwrap_or_default()
            ),
            Self::NotFound { .. } => {
                "check the spelling, and that it was pushed; some registries say this when credentials are missing"
                    .to_owned()
            }
            Self::TooManyRequests { retry_after: Some(after), .. } => format!("try again in {}", seconds(after)),
            Self::TooManyRequests { .. } => "try again later, or with credentials".to_owned(),
            Self::Server { .. } => "try again; if it stays so, ask whoever runs the registry".to_owned(),
            Self::Unexpected { said, registry, .. } if said.contains("HTTPS") => {
                format!("`{registry}` speaks TLS: leave out `--insecure`")
            }
            Self::Unexpected { registry, .. } => format!("check that `{registry}` is an OCI registry"),
            Self::RedirectLoop { .. } | Self::InsecureRedirect { .. } => {
                "ask whoever runs the registry; its storage addresses are set up wrongly".to_owned()
            }
            Self::DigestMismatch { .. } | Self::WrongLength { .. } => {
                "do not use it; ask whoever runs the registry, it holds or sends something else than was pushed"
                    .to_owned()
            }
            Self::CutShort { .. } => "try again; what came is kept and not fetched twice".to_owned(),
            Self::TooLarge { .. } => "push something smaller, or raise the bound".to_owned(),
            Self::Manifest { source, .. } => source.next_step(),
            Self::Credentials { source, .. } => source.next_step(),
            Self::Disk(_) => "make room in the cache directory and in the directory for temporary files".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_with_capitals_may_be_there_without_them() {
        let next_step = |what: &str| {
            let (registry, said) = ("registry.test".to_owned(), String::new());
            RegistryError::NotFound { registry, what: what.to_owned(), said }.next_step()
        };
        assert!(next_step("registry.test/echo:2.0.0-RC1").contains("`2.0.0-rc1`"));
        for other in ["registry.test/echo:2.0.0", "registry.test:5000/echo", "a configuration", "sha256:AB"] {
            assert!(!next_step(other).contains("older tools"), "{other}");
        }
    }
}
