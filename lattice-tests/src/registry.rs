//! A real registry server (Debian's docker-registry), on a port of its own, with what it asks of its clients.
//!
//! Open, or with a password, or over TLS with a certificate authority of its own; it keeps what was pushed over a kill.
//! It knows nothing of artifacts, and its password is no secret.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use tokio::net::TcpStream;
use xtask::tools::packages;

use test_needs::skip;

use crate::{Guarded, eventually, free_address, http::ask};

const PROGRAM: &str = "docker-registry";
/// Fixed, so that no tool is needed to make it: the bcrypt hash, at cost 5, of [`Registry::PASSWORD`].
const HTPASSWD: &str = "ada:$2y$05$RyMZQ3EkSbzGzrBif/jHH.0yAz1MD/wa7XbRpSWPpCjDH7/4NEF0K\n";

/// A program of this machine's that tests run; none when it is missing, which is then said.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let found = packages::find(name);
    if found.is_none() {
        skip(name);
    }
    found
}

/// What a registry asks of its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Basic authentication, as [`Registry::USER`] with [`Registry::PASSWORD`].
    pub password: bool,
    /// TLS, with a certificate of [`Registry::ca_file`].
    pub tls: bool,
}

/// A registry server; it ends with the value.
#[derive(Debug)]
pub struct Registry {
    program: PathBuf,
    dir: TempDir,
    address: SocketAddr,
    process: Option<Guarded>,
}

impl Registry {
    /// Who may use it when it asks for a password.
    pub const USER: &str = "ada";
    /// The password, with a blank, as passwords have.
    pub const PASSWORD: &str = "correct horse";

    /// One that anybody may use over plain HTTP; none when this machine has no docker-registry, which is then said.
    pub async fn start() -> Option<Self> {
        Self::start_with(Access::default()).await
    }

    /// One that asks for something.
    ///
    /// # Panics
    /// When there is a docker-registry but it does not work.
    pub async fn start_with(access: Access) -> Option<Self> {
        let program = program(PROGRAM)?;
        let dir = tempfile::tempdir().expect("a directory");
        let address = free_address();
        let mut server = Self { program, dir, address, process: None };
        if access.tls {
            server.make_certificates();
        }
        fs::write(server.file("htpasswd"), HTPASSWD).expect("a file can be written");
        fs::write(server.file("config.yml"), server.config(access)).expect("a file can be written");
        server.start_again().await;
        Some(server)
    }

    /// Its name in references: `localhost` and its port.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// A reference to something in it.
    #[must_use]
    pub fn reference(&self, repository_and_tag: &str) -> String {
        format!("{}/{repository_and_tag}", self.authority())
    }

    /// The authority that signed its certificate, as a PEM file.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// Starts it where it was, with what was pushed.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let args = [Path::new("serve").to_owned(), self.file("config.yml")];
        let mut process = Guarded::start(&self.program, &args, &[], &self.file("registry.log"));
        let address = self.address;
        eventually("a docker-registry that listens", || {
            let running = process.is_running();
            async move {
                if !running {
                    return Err("it has ended".to_owned());
                }
                TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())
            }
        })
        .await;
        self.process = Some(process);
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// The answer to a GET of an open registry, which must be 200.
    ///
    /// # Panics
    /// When it is not.
    pub async fn get(&self, path: &str) -> String {
        let request = http::Request::get(path).header("accept", "application/vnd.oci.image.manifest.v1+json, */*");
        let answer = ask(self.address, request, Bytes::new()).await.expect("an answer of the registry");
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.body);
        answer.body
    }

    /// What it has written to its log: one line for each request, with method, path and status.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("registry.log")).unwrap_or_default()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, access: Access) -> String {
        let shown = |name: &str| self.file(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  \
             delete:\n    enabled: true\nhttp:\n  addr: {}\n",
            shown("store"),
            self.address
        );
        if access.tls {
            config += &format!("  tls:\n    certificate: {}\n    key: {}\n", shown("server.crt"), shown("server.key"));
        }
        if access.password {
            config += &format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", shown("htpasswd"));
        }
        config
    }

    fn make_certificates(&self) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "authority of a test registry");
        let key = || KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate of an authority");

        let server_key = key();
        let server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        let server = server.signed_by(&server_key, &authority).expect("a certificate of the server");
        for (name, pem) in
            [("ca.crt", authority.pem()), ("server.crt", server.pem()), ("server.key", server_key.serialize_pem())]
        {
            fs::write(self.file(name), pem).expect("a file can be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::try_get;

    #[tokio::test]
    async fn an_open_registry_answers_and_stays_the_same_over_a_kill() {
        let Some(mut registry) = Registry::start().await else { return };
        assert_eq!(try_get(registry.address, "/v2/").await.expect("an answer").status, 200);
        registry.kill().await;
        try_get(registry.address, "/v2/").await.expect_err("it is gone");
        registry.start_again().await;
        assert_eq!(try_get(registry.address, "/v2/").await.expect("an answer").status, 200);
        assert!(registry.log().contains("/v2/"), "{}", registry.log());
    }

    #[tokio::test]
    async fn a_registry_with_a_password_asks_for_it_and_one_with_tls_speaks_no_plain_http() {
        let Some(registry) = Registry::start_with(Access { password: true, tls: false }).await else { return };
        assert_eq!(try_get(registry.address, "/v2/").await.expect("an answer").status, 401);
        let Some(registry) = Registry::start_with(Access { password: false, tls: true }).await else { return };
        assert_eq!(try_get(registry.address, "/v2/").await.expect("an answer").status, 400);
        assert!(registry.ca_file().is_file());
    }
}
