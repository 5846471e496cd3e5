//! Artifacts that this machine gets hold of: from registries, and as programs that run here by themselves.

pub mod programs;
pub mod registry;
