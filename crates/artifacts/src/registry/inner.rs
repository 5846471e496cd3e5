//! What all clones of a client share.

use super::auth::Auth;
use super::options::RegistryOptions;
use super::transport::Transport;

pub(super) struct Inner {
    pub(super) options: RegistryOptions,
    pub(super) insecure: Vec<String>,
    pub(super) transport: Transport,
    pub(super) auth: Auth,
}
