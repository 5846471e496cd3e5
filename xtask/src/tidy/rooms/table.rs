//! What the table of a crate says, and where it is.

/// The rooms of one package.
pub(super) struct Table {
    pub(super) package: &'static str,
    /// From the highest floor down.
    pub(super) rooms: &'static [Room],
}

/// A room, and the rooms it may import from.
pub(super) type Room = (&'static str, &'static [&'static str]);

/// Stands for every room below: what wires the rooms together, and the list of what a crate shows.
pub(super) const ANY: &str = "<any>";

/// Where the table of a package is.
pub(super) fn path(package: &str) -> String {
    format!("xtask/src/tidy/rooms/tables/{}.rs", package.replace('-', "_"))
}

impl Table {
    /// How far from the top a room stands.
    pub(super) fn floor(&self, room: &str) -> Option<usize> {
        self.rooms.iter().position(|(name, _)| *name == room)
    }

    /// Whether `to` stands on the floor of `from` or above; false for a room without a row.
    pub(super) fn is_upward(&self, from: &str, to: &str) -> bool {
        matches!((self.floor(from), self.floor(to)), (Some(from), Some(to)) if to <= from)
    }

    pub(super) fn allows(&self, from: &str, to: &str) -> bool {
        let row = self.rooms.iter().find(|(name, _)| *name == from);
        let in_row = row.is_some_and(|(_, allowed)| allowed.contains(&to) || allowed.contains(&ANY));
        in_row && self.floor(to).is_some() && !self.is_upward(from, to)
    }
}
