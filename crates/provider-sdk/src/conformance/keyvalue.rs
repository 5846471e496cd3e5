//! The suite of `wasmcloud:keyvalue` (`docs/contracts/keyvalue.md`).
//!
//! One function per behaviour, each with actors of its own. [`run`] runs all of them and names the first that fails.

mod bounds;
mod client;
mod expiry;
mod keys;
mod lists;
mod numbers;
mod sets;
mod sharing;
mod swaps;
mod values;

use std::{future::Future, pin::Pin, sync::Arc};

pub use client::Client;

use super::World;

type Check = (&'static str, fn(Arc<dyn World>) -> Pin<Box<dyn Future<Output = ()> + Send>>);

macro_rules! checks {
    ($($module:ident: $($check:ident),+;)+) => {
        &[$($((
            concat!(stringify!($module), "::", stringify!($check)),
            |world| Box::pin($module::$check(world)),
        )),+),+]
    };
}

/// Every behaviour.
const CHECKS: &[Check] = checks! {
    values: a_key_that_is_not_there, a_value_comes_back, any_bytes, any_key, a_set_replaces_whatever_was_there;
    numbers: they_begin_at_zero, they_add_and_subtract, they_are_text, they_are_wider_than_32_bits, text_is_no_number,
        an_overflow_changes_nothing, increments_of_many_add_up;
    lists: they_keep_their_order, ranges_count_from_either_end, one_value_is_removed, an_empty_list_is_gone,
        a_list_is_cleared, a_list_is_no_value;
    sets: members_are_there_once, an_empty_set_is_gone, unions_and_intersections, a_set_is_cleared, a_set_is_no_list;
    expiry: a_value_expires, a_value_set_again_stays, a_number_keeps_its_expiry, what_has_expired_counts_as_absent;
    keys: all_keys_come_in_pages, a_page_has_no_more_than_asked;
    swaps: they_need_what_is_there, they_need_nothing_there, they_compare_bytes, swaps_of_many_add_up;
    bounds: a_long_key_is_refused, arguments_of_another_form_are_refused, unknown_operations_are_refused;
    sharing: actors_do_not_see_each_other, actors_with_one_namespace_do, an_actor_without_link_is_refused;
};

/// Runs the suite.
///
/// # Panics
/// When the provider does not conform; the check that fails is on standard error.
pub async fn run(world: Arc<dyn World>) {
    for (name, check) in CHECKS {
        eprintln!("conformance of wasmcloud:keyvalue: {name}");
        check(Arc::clone(&world)).await;
    }
}
