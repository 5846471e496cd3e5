//! How starting and loading fail, and in [`ended`] how a call does.

pub(crate) mod ended;

use std::collections::BTreeSet;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No plan for the engine fits this machine.
    #[error("cannot make a wasm engine: {reason}")]
    Engine {
        /// Each plan with its reason.
        reason: String,
    },
    /// The host's own functions do not link; a bug of ours.
    #[error("cannot link the host functions: {reason}")]
    Link {
        /// wasmtime's reason.
        reason: String,
    },
    /// The operating system gave no thread.
    #[error("cannot start the epoch thread: {reason}")]
    Ticker {
        /// The system's reason.
        reason: String,
    },
}

/// Why an artifact cannot run here. Whatever ran before it keeps running.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Neither a core module nor a component, or not valid.
    #[error("not a valid wasm module or component: {reason}")]
    Invalid {
        /// The validator's reason.
        reason: String,
    },
    /// Valid where more of the standard, or of what may become part of it, is enabled.
    #[error("valid wasm, but this host has not enabled what it uses: {}", .proposals.join(", "))]
    NotEnabled {
        /// What that is.
        proposals: Vec<&'static str>,
    },
    /// The guest imports what nobody provides.
    #[error("imports that this host does not provide: {}", quoted(.names))]
    UnknownImports {
        /// All of them, `module.name` for a module, interface names for a component.
        names: Vec<String>,
    },
    /// The guest imports what its signed claims do not grant.
    #[error("{}; sign it with `wash claims sign {}`", ungranted(.imports), capabilities(.imports))]
    NotGranted {
        /// All such interfaces, each with the contract it needs.
        imports: Vec<(String, String)>,
    },
    /// It was built for WASI 0.3, which is not switched on.
    #[error(
        "built for WASI 0.3, which runs only where it is switched on; set `--wasi-p3` (`WASH_WASI_P3=true`) or build it \
         for WASI 0.2: {}",
        quoted(.interfaces)
    )]
    NewerWasi {
        /// Interfaces that it imports or exports.
        interfaces: Vec<String>,
    },
    /// An import has a known name and another type.
    #[error("an import does not have the type this host provides: {reason}")]
    ImportMismatch {
        /// wasmtime's reason.
        reason: String,
    },
    /// Nothing to call, or an export of the wrong type.
    #[error("{reason}")]
    EntryPoint {
        /// What is expected.
        reason: String,
    },
    /// It needs more at start than its limits allow.
    #[error("needs {needed} {what} to start, allowed are {limit}")]
    ExceedsLimit {
        /// Which resource, with its unit.
        what: &'static str,
        /// What it needs.
        needed: u64,
        /// What it may use.
        limit: u64,
    },
    /// Compiling it takes more time or memory than this host gives to that.
    #[error("compiling it takes more than this host allows: {reason}")]
    TooCostly {
        /// What it takes too much of, with the bound.
        reason: String,
    },
    /// There is no key that precompiled code could be sealed with.
    #[error("without a code cache nothing can be precompiled: name a directory that only this user can write to")]
    NoCodeCache,
    /// A directory that is granted cannot be opened.
    #[error("cannot open the directory `{directory}`: {reason}")]
    Grant {
        /// Which one.
        directory: String,
        /// The system's reason.
        reason: String,
    },
    /// Compiling failed in a way that is our bug.
    #[error("host fault while loading: {reason}")]
    HostFault {
        /// What went wrong.
        reason: String,
    },
}

impl LoadError {
    /// Stable word for logs, tests, docs and any wire that carries one. The sentence may change; this may not.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid_wasm",
            Self::NotEnabled { .. } => "not_enabled",
            Self::UnknownImports { .. } => "unknown_imports",
            Self::NotGranted { .. } => "not_granted",
            Self::NewerWasi { .. } => "newer_wasi",
            Self::ImportMismatch { .. } => "import_mismatch",
            Self::EntryPoint { .. } => "no_entry_point",
            Self::ExceedsLimit { .. } => "exceeds_limit",
            Self::Grant { .. } => "grant_unusable",
            Self::TooCostly { .. } => "too_costly_to_compile",
            Self::NoCodeCache => "no_code_cache",
            Self::HostFault { .. } => "host_fault",
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn ungranted(imports: &[(String, String)]) -> String {
    let imports: Vec<String> = imports.iter().map(|(name, contract)| format!("`{name}` (`{contract}`)")).collect();
    format!("imports that its signed claims do not grant: {}", imports.join(", "))
}

/// The flags that would grant what is missing, each contract once.
fn capabilities(imports: &[(String, String)]) -> String {
    let contracts: BTreeSet<&str> = imports.iter().map(|(_, contract)| contract.as_str()).collect();
    contracts.into_iter().map(|contract| format!("--cap {contract}")).collect::<Vec<_>>().join(" ")
}
