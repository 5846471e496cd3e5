//! `registries.put`: credentials of artifact registries. This host loads no registry artifacts yet and says so.

use bytes::Bytes;
use lattice::control::{Ack, RegistryCredentials, decode};

/// Refuses what could not be used, rather than to keep secrets nobody needs.
pub fn put(body: &Bytes) -> Ack {
    match decode::<RegistryCredentials>(body) {
        Ok(_) => Ack::refused("this host loads artifacts from files and has no use for registry credentials"),
        Err(error) => Ack::refused(error),
    }
}
