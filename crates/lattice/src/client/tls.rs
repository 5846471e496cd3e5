//! Why TLS with a NATS server did not come about, told apart from a server that is not there.
//!
//! Looks at the types in an error's chain, never at its words. Invariant: what is not known to be about TLS is not said to
//! be.

use std::{error::Error, fmt, io};

use async_nats::{
    ConnectErrorKind, ServerError,
    rustls::{self, AlertDescription, CertificateError},
};

/// What went wrong between the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProblem {
    /// Its certificate is not signed by an authority that we trust.
    UnknownAuthority,
    /// Its certificate is for another name.
    WrongName,
    /// Its certificate is not valid now.
    Expired,
    /// It speaks no TLS.
    Plain,
    /// It wants a certificate of ours, or does not take the one it got.
    OurCertificate,
    /// Something else.
    Other,
}

impl TlsProblem {
    /// What an error says about TLS; none when it is about something else.
    pub(super) fn of(error: &async_nats::ConnectError) -> Option<Self> {
        let found = chain(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        match found {
            Some(error) => Some(Self::of_rustls(error)),
            None => (error.kind() == ConnectErrorKind::Tls).then_some(Self::Other),
        }
    }

    fn of_rustls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(reason) => match reason {
                CertificateError::UnknownIssuer => Self::UnknownAuthority,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                _ => Self::Other,
            },
            rustls::Error::InvalidMessage(_) => Self::Plain,
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::UnknownCA,
            ) => Self::OurCertificate,
            _ => Self::Other,
        }
    }

    /// What to do about it.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::UnknownAuthority => "name the file of its authority with `--nats-tls-ca`",
            Self::WrongName => "reach it by the name that its certificate has",
            Self::Expired => "have its certificate renewed, or set the clock of this machine",
            Self::Plain => "leave out `tls://` and `--nats-tls`, or switch TLS on at the server",
            Self::OurCertificate => {
                "name a certificate that the server knows with `--nats-tls-cert` and `--nats-tls-key`"
            }
            Self::Other => "compare the TLS settings of both sides (`docs/nats.md`)",
        }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownAuthority => "its certificate is not signed by an authority that is trusted here",
            Self::WrongName => "its certificate is for another name",
            Self::Expired => "its certificate is not valid now",
            Self::Plain => "it speaks no TLS",
            Self::OurCertificate => "it does not take our certificate, or wants one",
            Self::Other => "TLS did not come about",
        })
    }
}

/// Whether the server refused whoever connects, in whichever words: it says some of them beside the usual one.
pub(super) fn is_denied(error: &async_nats::ConnectError) -> bool {
    let said = |cause: &(dyn Error + 'static)| cause.downcast_ref::<ServerError>().is_some();
    chain(error).any(said)
}

/// An error and everything below it. `io::Error` hides what it was made of from `source`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| below(*cause))
}

fn below<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => cause.source(),
    }
}
