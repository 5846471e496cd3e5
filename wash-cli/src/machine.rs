//! This machine: the directories of the user, files, signals, the hosts that run here and what they bring along.

pub mod builtins;
pub mod files;
pub mod given_file;
pub mod home;
pub mod hosts_here;
pub mod signals;
