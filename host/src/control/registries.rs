//! `registries.put`: credentials of artifact registries, in use from now on (protocol section 3.3).

use bytes::Bytes;
use lattice::{
    bounds,
    control::{Ack, RegistryCredentials, decode},
};

use crate::control::face::Control;

/// Takes over the credentials; registries that are not named keep theirs.
pub fn put(control: &Control, body: &Bytes) -> Ack {
    match decode::<RegistryCredentials>(body) {
        Ok(credentials) => {
            let most = bounds::MAX_REGISTRIES;
            let registries = control.admission.artifacts.registries_with(&credentials);
            if registries > most {
                return Ack::refused(format!(
                    "limit_exceeded: registries with credentials: {registries} entries, and the most is {most}"
                ));
            }
            tracing::info!(registries = ?credentials.0.keys(), "registry credentials");
            control.admission.artifacts.set_credentials(credentials);
            Ack::accepted()
        }
        Err(error) => Ack::refused(error),
    }
}
