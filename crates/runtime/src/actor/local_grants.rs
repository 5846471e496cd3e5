//! What whoever runs a program by hand lets it have of this machine.
//!
//! Invariant: the default grants nothing; what is not named here does not exist for the program.

use std::{io, path::PathBuf};

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::error::LoadError;

/// What a program may have of this machine. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalGrants {
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// The directories it sees.
    pub directories: Vec<Directory>,
    /// Whether it may open sockets, to any address, and look up names.
    pub network: bool,
}

/// A directory of this machine that a program sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where it is.
    pub host: PathBuf,
    /// Under which name the program finds it.
    pub guest: String,
    /// Whether the program may only read in it.
    pub read_only: bool,
}

/// A directory that is granted cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the directory `{}`", directory.display())]
pub struct GrantError {
    /// Which one.
    pub directory: PathBuf,
    /// The system's reason.
    #[source]
    pub reason: io::Error,
}

impl LocalGrants {
    /// Refuses what cannot be given.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        self.apply(&mut WasiCtxBuilder::new()).map_err(|GrantError { directory, reason }| LoadError::Grant {
            directory: directory.display().to_string(),
            reason: reason.to_string(),
        })
    }

    /// Adds the grants to a WASI context that has none.
    pub(crate) fn apply(&self, wasi: &mut WasiCtxBuilder) -> Result<(), GrantError> {
        wasi.envs(&self.env);
        for directory in &self.directories {
            let perms = if directory.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            wasi.preopened_dir(&directory.host, &directory.guest, perms)
                .map_err(|error| GrantError { directory: directory.host.clone(), reason: io_error(error) })?;
        }
        if self.network {
            wasi.inherit_network();
        }
        wasi.allow_tcp(self.network).allow_udp(self.network).allow_ip_name_lookup(self.network);
        Ok(())
    }
}

fn io_error(error: wasmtime::Error) -> io::Error {
    error.downcast::<io::Error>().unwrap_or_else(|error| io::Error::other(format!("{error:#}")))
}
