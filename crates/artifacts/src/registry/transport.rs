//! The HTTP clients beneath: over TLS or plain, through the proxies of the environment or past them.
//!
//! Each is made when it is first needed, because TLS needs certificates that may not be there. None of them follows
//! redirects, decompresses or watches the time without bytes (it would count a whole upload as such a time): all three
//! are decided, and bounded, further up.

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

use super::error::RegistryError;
use super::hint;
use super::options::Timeouts;

/// Largest file of certificates, bytes.
const MAX_CA_FILE: u64 = 4 << 20;
const USER_AGENT: &str = concat!("artifacts/", env!("CARGO_PKG_VERSION"));

pub(super) struct Transport {
    roots: Vec<Certificate>,
    timeouts: Timeouts,
    /// By `tls`, then by `local`.
    clients: [[OnceLock<Result<Client, String>>; 2]; 2],
}

impl Transport {
    pub(super) fn new(extra_ca: &[PathBuf], timeouts: Timeouts) -> Result<Self, RegistryError> {
        let mut roots = Vec::new();
        for path in extra_ca {
            roots.extend(read_certificates(path)?);
        }
        Ok(Self { roots, timeouts, clients: Default::default() })
    }

    /// The client for `url`.
    pub(super) fn client(&self, url: &Url) -> Result<Client, RegistryError> {
        let (tls, local) = (url.scheme() == "https", is_local(url));
        let client = self.clients[usize::from(tls)][usize::from(local)].get_or_init(|| self.build(tls, local));
        client.clone().map_err(|reason| RegistryError::TlsSetup { reason })
    }

    fn build(&self, tls: bool, local: bool) -> Result<Client, String> {
        // reqwest panics when there is none. Losing a race for it is fine: then there is one.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(self.timeouts.connect)
            .redirect(Policy::none())
            .referer(false);
        builder = match tls {
            true if self.roots.is_empty() => builder,
            true => builder.tls_certs_merge(self.roots.iter().cloned()),
            // Never used for TLS, so it must not fail for want of certificates.
            false => builder.tls_certs_only([]),
        };
        // A proxy has another idea of what is local.
        let builder = if local { builder.no_proxy() } else { builder };
        builder.build().map_err(|error| hint::chain(&error))
    }
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_certificates(path: &std::path::Path) -> Result<Vec<Certificate>, RegistryError> {
    let failed = |reason: String| RegistryError::Certificates { path: path.display().to_string(), reason };
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Vec::new();
    file.take(MAX_CA_FILE + 1).read_to_end(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_CA_FILE {
        return Err(failed(format!("it is larger than {MAX_CA_FILE} bytes")));
    }
    let certificates = Certificate::from_pem_bundle(&text).map_err(|error| failed(hint::chain(&error)))?;
    if certificates.is_empty() {
        return Err(failed("there is no certificate in PEM form in it".to_owned()));
    }
    Ok(certificates)
}
