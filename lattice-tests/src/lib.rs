//! lattice-tests
