//! `cargo xtask tidy --rooms`: the rooms of every crate with some, in numbers, and its circles by name.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    LARGE, files,
    plan::{Plan, plans},
    table::Table,
    tables::TABLES,
};
use crate::tidy::checkout::Checkout;

/// What there is, for people: crates with a table or of some size.
pub(in crate::tidy) fn report(checkout: &Checkout) -> String {
    let mut text = format!(
        "{:<24}{:>8}{:>8}{:>8}{:>8}{:>8}{:>10}{:>10}{:>10}\n",
        "crate", "lines", "files", "rooms", "edges", "upward", "circles", "largest", "of files"
    );
    let (mut circles, mut drafts) = (String::new(), String::new());
    for plan in plans(checkout) {
        let table = TABLES.iter().find(|table| table.package == plan.package);
        if table.is_some() || plan.lines > LARGE {
            text += &row(&plan, table);
            circles += &named_circles(&plan);
            if table.is_none() {
                drafts += &draft(&plan);
            }
        }
    }
    let what = "upward: imports to a room that stands higher, where a table says so. circles: sets of rooms that import each\n\
        other, and the rooms of the largest. of files: the files of the largest circle of files.\n";
    format!("{text}\n{what}{circles}{drafts}\n")
}

fn row(plan: &Plan, table: Option<&Table>) -> String {
    let upward = table.map_or("-".to_owned(), |table| {
        let upward =
            plan.between_rooms().filter(|import| table.is_upward(plan.room(import.from), plan.room(import.to)));
        upward.count().to_string()
    });
    let rooms = plan.circles_of_rooms();
    let files = plan.circles_of_files();
    format!(
        "{:<24}{:>8}{:>8}{:>8}{:>8}{upward:>8}{:>10}{:>10}{:>10}\n",
        plan.package,
        plan.lines,
        plan.tree.files.len(),
        plan.rooms().len(),
        edges(plan),
        rooms.len(),
        rooms.first().map_or(0, Vec::len),
        files.first().map_or(0, Vec::len),
    )
}

fn edges(plan: &Plan) -> usize {
    let edges = plan.between_rooms().map(|import| (plan.room(import.from), plan.room(import.to)));
    edges.collect::<BTreeSet<_>>().len()
}

fn named_circles(plan: &Plan) -> String {
    let rooms = plan.circles_of_rooms();
    let rooms = rooms.iter().map(|circle| format!("\n{}: circle of rooms: {}", plan.package, circle.join(" ")));
    let files = files(plan).into_iter().map(|circle| format!("\n{circle}"));
    rooms.chain(files).collect()
}

/// What is true of a crate without a table, as rows of one: the rooms that fewest know first.
fn draft(plan: &Plan) -> String {
    let mut known: BTreeMap<&str, BTreeSet<&str>> =
        plan.rooms().into_iter().map(|room| (room, BTreeSet::new())).collect();
    for import in plan.between_rooms() {
        known.entry(plan.room(import.from)).or_default().insert(plan.room(import.to));
    }
    let mut rows = format!("\n{}: its rooms, as a table would have them", plan.package);
    while !known.is_empty() {
        let top = known.keys().find(|room| !known.values().any(|known| known.contains(*room)));
        let room = *top.or_else(|| known.keys().next()).expect("it is not empty");
        let row = known.remove(room).unwrap_or_default();
        rows += &format!("\n    {:?},", (room, row.into_iter().collect::<Vec<_>>()));
    }
    rows
}
