//! crates/lattice
