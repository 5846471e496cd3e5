//! What every command gets besides its own arguments.
//!
//! Holds where wash keeps things and the way to the terminal; refuses to hold a connection, which commands open when
//! (and if) they need one.

use crate::{machine::home::Home, terminal::output::Printer};

/// What every command gets besides its own arguments.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where wash keeps keys, hosts and programs.
    pub home: Home,
    /// The way to the terminal.
    pub printer: Printer,
}
