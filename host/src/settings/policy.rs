//! Settings on the policy service (protocol section 8.1).

use std::{fmt, time::Duration};

use clap::{Args, ValueEnum};

use super::Problems;

/// The policy service, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct PolicyArgs {
    /// Subject on which a policy service is asked about every start and every call. Default: nobody is asked.
    #[arg(long, env = "WASMCLOUD_POLICY_TOPIC", value_name = "SUBJECT")]
    pub policy_topic: Option<String>,
    /// Subject on which the policy service tells that it decides otherwise now.
    #[arg(long, env = "WASMCLOUD_POLICY_CHANGES_TOPIC", value_name = "SUBJECT", requires = "policy_topic")]
    pub policy_changes_topic: Option<String>,
    /// How long the policy service may take to answer, milliseconds.
    #[arg(long, env = "WASMCLOUD_POLICY_TIMEOUT", default_value_t = 1000, value_name = "MS")]
    pub policy_timeout_ms: u64,
    /// What holds when the policy service does not answer in time, or NATS is away.
    #[arg(long, env = "WASH_POLICY_DEFAULT", value_enum, default_value = "deny")]
    pub policy_default: PolicyDefault,
}

/// What holds without a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PolicyDefault {
    /// It is permitted.
    Permit,
    /// It is denied.
    #[default]
    Deny,
}

impl fmt::Display for PolicyDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
        })
    }
}

/// The policy service, as the host uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Where it is asked.
    pub topic: String,
    /// Where it tells that it decides otherwise now.
    pub changes_topic: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// What holds without its answer.
    pub default: PolicyDefault,
}

impl PolicyArgs {
    pub(super) fn into_config(self, problems: &mut Problems) -> Option<PolicyConfig> {
        let topic = self.policy_topic?;
        problems.take("--policy-topic", subject(&topic, false));
        if let Some(changes) = &self.policy_changes_topic {
            problems.take("--policy-changes-topic", subject(changes, true));
        }
        if self.policy_timeout_ms == 0 {
            problems.add("--policy-timeout-ms: it must be at least 1");
        }
        let timeout = Duration::from_millis(self.policy_timeout_ms);
        Some(PolicyConfig { topic, changes_topic: self.policy_changes_topic, timeout, default: self.policy_default })
    }
}

/// Whether a text can be published to, or listened to.
fn subject(text: &str, wildcards: bool) -> Result<(), String> {
    let token = |token: &str| match token {
        "" => false,
        "*" | ">" => wildcards,
        token => !token.contains(['*', '>']) && !token.chars().any(|c| c.is_whitespace() || c.is_control()),
    };
    if text.split('.').all(token) { Ok(()) } else { Err(format!("`{text}` is not a NATS subject to use here")) }
}
