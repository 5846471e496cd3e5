//! Providers on this host: embedded in it, or supervised as processes.
//!
//! [`Providers`] is the face: the table of what runs, and what its supervision needs. Links reach a provider through its
//! [`links`] task, which compares wanted with served.

pub mod archive;
mod child;
mod data_dir;
pub mod health;
mod keys;
mod last_line;
pub mod launcher;
pub mod links;
pub mod process;
pub(crate) mod running;
mod spec;
pub(crate) mod table;
mod trouble;

pub use self::{
    child::FIRST_ANSWER_WITHIN,
    data_dir::data_dir,
    running::{Home, RunningProvider},
    spec::ProviderSpec,
    table::{Parts, Providers},
};

#[cfg(test)]
mod tests;
