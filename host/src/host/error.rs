//! Why a host does not start.

use std::{io, path::PathBuf};

use lattice::client::ConnectError;

use lattice_state::replica::ReplicaError;

use crate::{
    artifacts::ArtifactsError, identity::keys::KeyFileError, presence::duplicate_key::KeyInUse,
    process::private::NotPrivate,
};

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The state directory cannot be used.
    #[error("cannot use the state directory `{path}`")]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What it keeps or runs from is not this user's alone.
    #[error(
        "a host must be the only one who can change what it keeps and runs; choose another directory with `{flag}`"
    )]
    NotPrivate {
        /// What chooses another.
        flag: &'static str,
        /// What is wrong.
        source: NotPrivate,
    },
    /// Another host uses it.
    #[error("the state directory `{path}` is used by another host; choose another one with `--state-dir`")]
    StateDirInUse {
        /// The directory.
        path: PathBuf,
    },
    /// A key file is unusable.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The local replica is unusable.
    #[error("cannot open the local state in `{path}`")]
    Replica {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReplicaError,
    },
    /// The engine cannot be made.
    #[error("cannot start the WebAssembly engine")]
    Runtime(#[from] runtime::RuntimeError),
    /// NATS settings that can never work.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Registries or their cache cannot be used.
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// Another host has the same key.
    #[error(transparent)]
    KeyInUse(#[from] KeyInUse),
    /// The control socket cannot be opened.
    #[error("cannot open the control socket `{path}`")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The admin address cannot be opened.
    #[error("cannot open the admin address `{address}`")]
    Admin {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The topic prefix is not one.
    #[error("control topic prefix")]
    TopicPrefix(#[from] lattice::subject::SubjectError),
}
