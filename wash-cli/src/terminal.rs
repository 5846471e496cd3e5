//! What the user sees: results, failures and progress, and the only writes to the terminal.

pub mod failure;
pub mod foreign;
pub mod output;
pub mod progress;
