//! The NATS server that `wash up` runs on this machine for its user, as those see it who connect to it.
//!
//! Spells the names of its files, and finds who to be there. It refuses to know how the server is started. Invariants:
//! credentials that were found here go to `127.0.0.1` and nowhere else, and only where nobody named any; the file must
//! belong to this user.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use lattice::client::{Creds, DEFAULT_PORT, NatsOptions, Server};

use super::HostConfig;

/// The directory of the server of one port.
#[derive(Debug, Clone)]
pub struct LocalNats {
    directory: PathBuf,
    port: u16,
}

impl LocalNats {
    /// The server of `port` below the directory of `wash` (`WASH_HOME`).
    #[must_use]
    pub fn of(home: &Path, port: u16) -> Self {
        Self { directory: home.join(format!("nats-{port}")), port }
    }

    /// The server that these options can mean: one of this machine, and nobody said who to be there.
    #[must_use]
    pub fn meant_by(options: &NatsOptions, home: &Path) -> Option<Self> {
        let [url] = options.urls.as_slice() else { return None };
        let server = Server::parse(url, DEFAULT_PORT).ok()?;
        let here = ["127.0.0.1", "localhost"].contains(&server.host());
        let named = options.jwt.is_some()
            || options.seed.is_some()
            || options.creds_file.is_some()
            || options.user.is_some()
            || options.token.is_some()
            || server.has_login();
        let tls = server.tls() || options.tls || options.tls_ca.is_some() || options.tls_cert.is_some();
        (here && !named && !tls).then(|| Self::of(home, server.port()))
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Credentials of whoever uses the lattice: hosts, `wash`, and other tools that are told this path.
    #[must_use]
    pub fn creds_file(&self) -> PathBuf {
        self.directory.join("wash.creds")
    }

    /// Credentials of whoever asks the server about itself.
    #[must_use]
    pub fn system_creds_file(&self) -> PathBuf {
        self.directory.join("system.creds")
    }

    /// Who to be there; none when the server has never asked, or the file is not this user's.
    #[must_use]
    pub fn creds(&self) -> Option<Creds> {
        own_creds(&self.creds_file())
    }

    /// Who to be to ask the server about itself.
    #[must_use]
    pub fn system_creds(&self) -> Option<Creds> {
        own_creds(&self.system_creds_file())
    }

    /// Makes these options connect to this server as `creds`. By the address on which it listens: another one of this
    /// machine, such as `::1`, may be somebody else's.
    pub fn log_in(&self, creds: Creds, options: &mut NatsOptions) {
        options.urls = vec![format!("nats://127.0.0.1:{}", self.port)];
        (options.jwt, options.seed) = (creds.jwt, Some(creds.seed));
    }
}

fn own_creds(path: &Path) -> Option<Creds> {
    let owner = fs::metadata(path).ok()?.uid();
    (owner == rustix::process::geteuid().as_raw()).then(|| Creds::read(path).ok()).flatten()
}

impl HostConfig {
    /// Where both connections may lead to the server that `wash up` runs for this user, and nobody said who to be there:
    /// uses its credentials. They are harmless where another server answers: a seed never leaves this process, and
    /// another server of this user has other keys.
    pub fn use_local_nats(&mut self, home: &Path) {
        for options in [&mut self.ctl, &mut self.rpc].into_iter().flatten() {
            if let Some(server) = LocalNats::meant_by(options, home)
                && let Some(creds) = server.creds()
            {
                server.log_in(creds, options);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};
    use lattice::LatticeId;

    use super::*;

    fn options(url: &str) -> NatsOptions {
        NatsOptions { urls: vec![url.to_owned()], ..NatsOptions::default() }
    }

    #[test]
    fn only_a_server_of_this_machine_of_which_nobody_said_more_is_meant() {
        let home = Path::new("/home");
        for url in ["127.0.0.1:4222", "localhost", "nats://localhost:4222"] {
            assert_eq!(LocalNats::meant_by(&options(url), home).map(|server| server.port()), Some(4222), "{url}");
        }
        for url in ["[::1]:4222", "tls://localhost", "u:p@localhost", "10.1.1.1", "127.0.0.2", "localhost.evil.test"] {
            assert!(LocalNats::meant_by(&options(url), home).is_none(), "{url}");
        }
        let named = NatsOptions { token: Some("t".to_owned()), ..options("localhost") };
        assert!(LocalNats::meant_by(&named, home).is_none());
        let two = NatsOptions { urls: vec!["localhost".to_owned(), "localhost:1".to_owned()], ..options("") };
        assert!(LocalNats::meant_by(&two, home).is_none());
    }

    #[test]
    fn a_host_finds_the_credentials_of_the_port_and_goes_where_the_server_listens() {
        let home = tempfile::tempdir().expect("a directory");
        let server = LocalNats::of(home.path(), 4333);
        fs::create_dir(server.directory()).expect("a directory");
        let seed = KeyPair::generate(KeyKind::User).seed().expose().to_owned();
        fs::write(server.creds_file(), Creds { jwt: None, seed: seed.clone() }.to_file()).expect("written");

        let mut config = HostConfig::new(LatticeId::default(), home.path().to_owned());
        (config.ctl, config.rpc) = (Some(options("localhost:4333")), Some(options("localhost:4334")));
        config.use_local_nats(home.path());
        let (ctl, rpc) = (config.ctl.expect("set"), config.rpc.expect("set"));
        assert_eq!((ctl.urls, ctl.seed), (vec!["nats://127.0.0.1:4333".to_owned()], Some(seed)));
        assert_eq!((rpc.urls, rpc.seed), (vec!["localhost:4334".to_owned()], None), "another port, another server");
    }
}
