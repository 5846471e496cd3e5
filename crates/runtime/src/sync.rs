//! What threads share: locks and flags, which are those of the standard library, and [`weak_list`].
//!
//! In tests each operation is a step at which another thread may go first, so that a model of a few threads is run in
//! thousands of orders. Nothing of that is in a program.

#[cfg(not(test))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicU32},
};

#[cfg(test)]
pub(crate) use self::stepped::{AtomicBool, AtomicU32, Mutex, MutexGuard, RwLock};
#[cfg(test)]
pub(crate) mod stepped;
pub(crate) mod weak_list;
