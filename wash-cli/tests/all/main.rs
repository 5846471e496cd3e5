//! `wash` from outside: the real program, with a home of its own for each test.
//!
//! One binary, so that it is linked once; one file per thing that is tried. Tests change nothing of this process (no
//! variables, no signals, no working directory): whatever a test sets, it sets for the `wash` that it starts.
#![allow(clippy::disallowed_methods, reason = "tests read what they, or the program, wrote")]

mod claims;
mod keys;
mod links;
mod par;
mod paths;
mod programs;
mod registry;
mod revocations;
mod run;
mod serve;
mod single_host;
mod support;
mod surroundings;
mod trust;
mod usage;
