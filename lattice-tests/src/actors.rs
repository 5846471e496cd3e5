//! The actors under `actors/`, built once.

use std::{env, path::PathBuf, sync::OnceLock};

use xtask::{
    actors::{self, ACTORS},
    guests::Guest,
};

use test_needs::skip;

/// An actor of this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A waPC module: answers HTTP requests with their description as JSON, relays calls, says arguments back.
    Echo,
    /// A waPC module: answers HTTP requests with a greeting.
    Greet,
    /// A component: `wasi:http/incoming-handler`.
    Hello,
    /// A component of WASI 0.3: `wasi:http/handler`.
    P3,
    /// A command of WASI 0.3: `wasi:cli/run`.
    P3Command,
    /// A waPC module: counts requests in a key-value store.
    KvCounter,
    /// The same as a component: `wasi:keyvalue`.
    KvCounterComponent,
    /// A guest in another language than Rust, by its name in `actors/guests`.
    Guest(&'static str),
}

impl Actor {
    /// Its name, as in `actors/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Greet => "greet",
            Self::Hello => "hello",
            Self::P3 => "p3",
            Self::P3Command => "p3-command",
            Self::KvCounter => "kvcounter",
            Self::KvCounterComponent => "kvcounter-component",
            Self::Guest(name) => name,
        }
    }

    /// Whether it can be had here. An actor in Rust always can; without the toolchain of another language this says that
    /// the current test is skipped.
    ///
    /// # Panics
    /// When it cannot be had where `CI` is set, or when there is no such guest.
    #[must_use]
    pub fn is_there(self) -> bool {
        let Self::Guest(name) = self else { return true };
        let there = built(guest(name)).is_some();
        if !there {
            skip(&format!("the toolchain of the guest in `{name}`"));
        }
        there
    }

    /// The built, unsigned file: the one that `cargo xtask test` names, else built now. Guests in other languages are not
    /// built by tests, because that would install a toolchain.
    ///
    /// # Panics
    /// When it cannot be built, or [`Self::is_there`] says no.
    #[must_use]
    pub fn path(self) -> PathBuf {
        static BUILT: OnceLock<()> = OnceLock::new();
        if let Self::Guest(name) = self {
            return built(guest(name)).expect("a guest that is there");
        }
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

fn guest(name: &str) -> &'static Guest {
    Guest::named(name).expect("every guest is listed")
}

/// The file that `cargo xtask test` names, else one that was built of the present sources.
fn built(guest: &Guest) -> Option<PathBuf> {
    env::var_os(guest.variable).map(PathBuf::from).or_else(|| guest.built())
}
