//! The settings of the host that `wash up` starts: what the user said, what was settled, and the keys of this user.

use std::sync::Arc;

use claims::KeyKind;
use host::{HostConfig, NativeIssuers};
use lattice::subject::ControlRoot;

use super::{
    options::UpArgs,
    plan::{Broker, Plan},
};
use crate::{
    context::Context,
    keys::{keystore::KeyStore, trusted_issuers::TrustedIssuers},
    terminal::failure::{OrFail, Result},
};

/// The settings of the host.
///
/// # Errors
/// A setting is wrong, or the cluster key cannot be had.
pub fn host_config(args: UpArgs, plan: &Plan, context: &Context) -> Result<HostConfig> {
    let shares_cluster_key = args.host.cluster_seed.is_none();
    let mut host = args.host;
    let names_directory = host.state_dir.replace(plan.state_dir.clone()).is_some();
    let mut config = host.into_config(plan.state_dir.clone())?;
    if shares_cluster_key {
        let store = KeyStore::new(context.home.keys(), true);
        config.cluster_key = match store.shared("cluster", KeyKind::Cluster) {
            Ok(key) => Some(key),
            // Without a home that can be written the host keeps a key of its own beside its state.
            Err(failure) if names_directory => {
                tracing::warn!(reason = %failure, "no cluster key in the key directory; this host uses one of its own");
                None
            }
            Err(failure) => return Err(failure),
        };
    }
    if matches!(config.native_issuers, NativeIssuers::Named) {
        let keys = KeyStore::new(args.keys.unwrap_or_else(|| context.home.keys()), false);
        config.native_issuers = NativeIssuers::Known(Arc::new(TrustedIssuers::beside(keys)));
    }
    if matches!(plan.broker, Broker::None { .. }) {
        (config.ctl, config.rpc) = (None, None);
    }
    if plan.broker.creds().is_some() || matches!(plan.broker, Broker::Awaited { .. }) {
        config.use_local_nats(context.home.root());
    }
    config.js_domain = config.js_domain.or(args.nats.nats_js_domain);
    Ok(config)
}

/// The subject root of the control interface.
///
/// # Errors
/// The prefix is no subject.
pub fn control_root(config: &HostConfig) -> Result<ControlRoot> {
    match &config.ctl_topic_prefix {
        Some(prefix) => ControlRoot::with_prefix(prefix, config.lattice.clone())
            .while_doing(|| "`--ctl-topic-prefix` is unusable".to_owned()),
        None => Ok(ControlRoot::new(config.lattice.clone())),
    }
}
