//! `cargo xtask tidy --rooms`: the rooms of every crate with some, in numbers, and its circles by name.

use super::{
    LARGE, MAX_CIRCLE,
    plan::{Plan, plans},
    tables::{TABLES, Table},
};
use crate::tidy::Checkout;

/// What there is, for people: crates with a table or of some size.
pub(in crate::tidy) fn report(checkout: &Checkout) -> String {
    let mut text = format!(
        "{:<24}{:>8}{:>8}{:>8}{:>8}{:>8}{:>10}{:>10}{:>10}\n",
        "crate", "lines", "files", "rooms", "edges", "upward", "circles", "largest", "of files"
    );
    let mut circles = String::new();
    for plan in plans(checkout) {
        let table = TABLES.iter().find(|table| table.package == plan.package);
        if table.is_some() || plan.lines > LARGE {
            text += &row(&plan, table);
            circles += &named_circles(&plan);
        }
    }
    let what = "upward: imports to a room that stands higher, where a table says so. circles: sets of rooms that import each\n\
        other, and the rooms of the largest. of files: the files of the largest circle of files.\n";
    format!("{text}\n{what}{circles}")
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
    edges.collect::<std::collections::BTreeSet<_>>().len()
}

fn named_circles(plan: &Plan) -> String {
    let rooms = plan.circles_of_rooms();
    let rooms = rooms.iter().map(|circle| format!("\n{}: circle of rooms: {}", plan.package, circle.join(" ")));
    let files = plan.circles_of_files();
    let files = files.iter().filter(|circle| circle.len() > MAX_CIRCLE).map(|circle| {
        let paths: Vec<&str> = circle.iter().map(|file| plan.tree.files[*file].path.as_str()).collect();
        format!("\n{}: circle of files: {}", plan.package, paths.join(" "))
    });
    rooms.chain(files).collect()
}
