//! What a change of lattice state sets in motion: providers are told, the lattice is told, a link moves without a gap.

mod changes;
mod moves;

pub use self::changes::Changes;
