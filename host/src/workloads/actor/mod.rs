//! Starting, scaling, stopping and updating actors (protocol section 8.3).
//!
//! What takes long (fetch, compile) happens before an actor is taken hold of, so that a stop never waits for it; what
//! ran before a failed step keeps running. A stop changes what is wanted first and then acts, so that nothing starts
//! again what it did not find. Whatever takes effect is compared with the revocation lists once more afterwards: a list
//! that came in between finds it, or is found. Invariant: every accepted command ends in an event that carries the
//! reference as the client wrote it.

mod error;
mod face;
mod find;
mod limits;
mod load;
mod report;
mod scale;
mod stop;
mod update;

pub use self::{
    error::ActorError,
    face::ActorWorkloads,
    report::Reports,
    scale::scale,
    stop::{NotStopped, revoke, stop},
    update::update,
};
