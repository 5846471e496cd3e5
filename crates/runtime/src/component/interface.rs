//! What an interface is that a component may import: its name, its versions, its functions, and what it needs.
//!
//! Vocabulary only; which interfaces there are is in [`super::imports`].

/// An interface with functions of our own.
pub(super) struct Interface {
    /// Its name without the version.
    pub(super) name: &'static str,
    /// The versions it is linked in, as they stand behind the name: empty, or `@…`.
    pub(super) versions: &'static [&'static str],
    /// Its functions and methods, as they are named in the binary.
    pub(super) functions: &'static [&'static str],
    /// The contract that claims must grant before a component may import one of the functions.
    pub(super) needs: Option<&'static str>,
}

impl Interface {
    /// Whether a component calls it that, with its version.
    pub(super) fn is(&self, import: &str) -> bool {
        import.strip_prefix(self.name).is_some_and(|version| self.versions.contains(&version))
    }
}
