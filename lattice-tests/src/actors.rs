//! The actors under `actors/`, built once.

use std::{env, path::PathBuf, sync::OnceLock};

use xtask::actors::{self, ACTORS};

/// An actor of this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A waPC module: answers HTTP requests with their description as JSON, relays calls, says arguments back.
    Echo,
    /// A component: `wasi:http/incoming-handler`.
    Hello,
}

impl Actor {
    /// Its name, as in `actors/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Hello => "hello",
        }
    }

    /// The built, unsigned file: the one that `cargo xtask test` names, else built now.
    ///
    /// # Panics
    /// When it cannot be built.
    #[must_use]
    pub fn path(self) -> PathBuf {
        static BUILT: OnceLock<()> = OnceLock::new();
        let actor = ACTORS.iter().find(|actor| actor.name == self.name()).expect("every actor is listed");
        if let Some(path) = env::var_os(actor.variable) {
            return path.into();
        }
        BUILT.get_or_init(|| actors::build().expect("the actors build"));
        actor.path()
    }

    /// Its bytes.
    ///
    /// # Panics
    /// When it cannot be built or read.
    #[must_use]
    pub fn wasm(self) -> Vec<u8> {
        std::fs::read(self.path()).expect("a built actor can be read")
    }
}
