//! The rule, made to complain.

use super::*;

const ROOMS: &[table::Room] = &[("lib", &[table::ANY]), ("calls", &["state"]), ("links", &["state"]), ("state", &[])];
const HOUSE: &[Table] = &[Table { package: "house", rooms: ROOMS }];
const MANIFEST: (&str, &str) = ("house/Cargo.toml", "[package]\nname = \"house\"");
const LIB: (&str, &str) = ("house/src/lib.rs", "mod calls; mod links; mod state;\npub use calls::Calls;");

fn house(files: &[(&str, &str)]) -> Checkout {
    let empty = [MANIFEST, LIB, ("house/src/calls.rs", ""), ("house/src/links.rs", ""), ("house/src/state/mod.rs", "")];
    let kept = empty.iter().filter(|(path, _)| !files.iter().any(|(changed, _)| changed == path));
    Checkout::of(&kept.chain(files).copied().collect::<Vec<_>>())
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    judge(&plans(&house(files)), HOUSE, &[])
}

#[test]
fn a_house_as_its_table_says_is_fine() {
    let good = [
        ("house/src/calls.rs", "use crate::state::Links;\npub struct Calls;"),
        ("house/src/state/mod.rs", "pub struct Links;"),
    ];
    assert_eq!(found(&good), [""; 0]);
}

#[test]
fn a_wrong_import_is_named_with_its_line_both_rooms_and_the_table() {
    let upward = found(&[("house/src/state/mod.rs", "//! State.\nuse crate::{\n    calls::Calls,\n};")]);
    assert_eq!(
        upward,
        [
            "house/src/state/mod.rs:3: room `state` must not import from room `calls` (`crate::calls::Calls`), which stands \
          above it in `xtask/src/tidy/rooms/tables/house.rs`"
        ]
    );
    let sideways = found(&[("house/src/calls.rs", "fn f() { super::links::of(1) }")]);
    assert_eq!(
        sideways,
        [
            "house/src/calls.rs:1: room `calls` must not import from room `links` (`super::links::of`), which is not in its \
          row in `xtask/src/tidy/rooms/tables/house.rs`"
        ]
    );
}

#[test]
fn a_wrong_import_cannot_hide_behind_a_re_export_of_the_crate_or_of_a_room() {
    let through_lib = [("house/src/calls.rs", "pub struct Calls;"), ("house/src/state/mod.rs", "use crate::Calls;")];
    assert_eq!(found(&through_lib).len(), 1);
    let through_room = [
        ("house/src/state/mod.rs", "pub use crate::links::Link;"),
        ("house/src/links.rs", "pub struct Link;"),
        ("house/src/calls.rs", "use crate::state::Link;"),
    ];
    let complaints = found(&through_room);
    assert!(complaints.len() == 2 && complaints[0].starts_with("house/src/calls.rs:1: room `calls`"), "{complaints:?}");
}

#[test]
fn a_test_may_stand_on_any_floor() {
    let tests = "#[cfg(test)]\nmod tests {\n    use crate::calls::Calls;\n}";
    assert_eq!(found(&[("house/src/state/mod.rs", tests)]), [""; 0]);
}

#[test]
fn two_files_of_a_room_may_know_each_other_and_three_may_not() {
    let folder = "mod a; mod b; use a::A; pub struct Table;";
    let two = [
        ("house/src/state/mod.rs", folder),
        ("house/src/state/a.rs", "use super::Table; pub struct A;"),
        ("house/src/state/b.rs", ""),
    ];
    assert_eq!(found(&two), [""; 0]);
    let three = [
        two[0],
        ("house/src/state/a.rs", "use super::b::B; pub struct A;"),
        ("house/src/state/b.rs", "use super::Table; pub struct B;"),
    ];
    let complaints = found(&three);
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].starts_with("house: 3 files import each other; at most 2 may:"), "{complaints:?}");
    assert!(complaints[0].contains("house/src/state/a.rs:1 -> house/src/state/b.rs (`super::b::B`)"), "{complaints:?}");
}

#[test]
fn a_room_without_a_row_and_a_row_without_a_room_are_named() {
    let complaints = found(&[("house/src/lib.rs", "mod calls; mod links; mod cellar;"), ("house/src/cellar.rs", "")]);
    let path = "xtask/src/tidy/rooms/tables/house.rs";
    assert_eq!(
        complaints,
        [format!("{path}: has no row for room `cellar` of `house`"), format!("{path}: `house` has no room `state`")]
    );
}

#[test]
fn a_table_cannot_allow_what_makes_a_circle() {
    let upside_down: &[table::Room] =
        &[("lib", &[table::ANY]), ("calls", &["state"]), ("links", &[]), ("state", &["calls", "state"])];
    let complaints = judge(&plans(&house(&[])), &[Table { package: "house", rooms: upside_down }], &[]);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].ends_with("`state` may not know `calls`, which is not below it"), "{complaints:?}");
}

#[test]
fn a_large_crate_without_a_table_is_named_unless_it_is_excused_and_an_excuse_does_not_stay() {
    let long = "// line\n".repeat(LARGE + 1);
    let plans_of_long = plans(&house(&[("house/src/calls.rs", &long)]));
    let complaints = judge(&plans_of_long, &[], &[]);
    assert!(complaints.len() == 1 && complaints[0].contains("no table of its rooms"), "{complaints:?}");
    assert!(judge(&plans_of_long, &[], &["house"]).is_empty());
    assert_eq!(
        judge(&plans(&house(&[])), &[], &["house"]),
        ["house: has a table or needs none; take it out of `NOT_YET`"]
    );
    assert_eq!(judge(&[], HOUSE, &[]), ["xtask/src/tidy/rooms/tables/house.rs: no such package"]);
}

#[test]
fn the_report_counts_rooms_circles_and_says_their_names() {
    let files = [
        ("house/src/state/mod.rs", "use crate::links::Link;"),
        ("house/src/links.rs", "use crate::state::S; pub struct Link;"),
    ];
    let text = report::report(&Checkout::of(&[]));
    assert!(text.starts_with("crate") && !text.contains("house"), "{text}");
    let long = "// line\n".repeat(LARGE);
    let text = report::report(&house(&[files[0], files[1], ("house/src/calls.rs", &long)]));
    assert!(text.contains("house: circle of rooms: links state"), "{text}");
}
