//! What a failed connection was really about: the reasons are deep inside the errors of the libraries.

use std::error::Error;
use std::io;

use rustls::{CertificateError, InvalidMessage};

/// All levels of an error in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    crate::text::excerpt(&text)
}

/// What TLS failed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsFailure {
    /// The other side does not speak TLS.
    NotTls,
    /// Its certificate is by nobody we know.
    UnknownIssuer,
    /// Anything else.
    Other,
}

/// What TLS failed on, if it was TLS that failed.
pub(super) fn tls_failure(error: &(dyn Error + 'static)) -> Option<TlsFailure> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error hides what it wraps: its source is the source of that.
        let wrapped = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        let tls = wrapped.and_then(|wrapped| wrapped.downcast_ref()).or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Some(match tls {
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsFailure::NotTls,
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => TlsFailure::UnknownIssuer,
                _ => TlsFailure::Other,
            });
        }
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
