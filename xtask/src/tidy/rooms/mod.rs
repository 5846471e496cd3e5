//! The rooms of each crate, and who may know whom: read from the `use` lines and the paths of its sources.
//!
//! A room is a module at the root of a crate, with all that is in it. A crate of some size has a table in [`tables`]: its
//! rooms from the highest floor down, each with the rooms it may import from, which all stand below it. So no two rooms
//! can know each other, and what is written down is what is true. Code for tests may import from anywhere.

mod graph;
mod plan;
mod report;
mod source;
mod table;
mod tables;
mod tokens;
mod tree;

use std::collections::BTreeMap;

use self::{
    plan::{Plan, plans},
    table::Table,
    tables::{NOT_YET, TABLES},
    tree::Import,
};
use super::checkout::Checkout;

pub(super) use self::report::report;

/// Above so many lines of source a crate has a table.
const LARGE: usize = 3_000;
/// So many files of a room may import each other: a folder and one file in it, or two halves of one idea.
const MAX_CIRCLE: usize = 2;

pub(super) fn complaints(checkout: &Checkout) -> Vec<String> {
    judge(&plans(checkout), TABLES, NOT_YET)
}

fn judge(plans: &[Plan], tables: &[Table], not_yet: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    for plan in plans {
        let table = tables.iter().find(|table| table.package == plan.package);
        let excused = not_yet.contains(&plan.package.as_str());
        match table {
            Some(table) => complaints.extend(against(plan, table)),
            None if plan.lines > LARGE && !excused => complaints.push(format!(
                "{}: {} lines of source and no table of its rooms; write one in `{}`",
                plan.package,
                plan.lines,
                table::path(&plan.package)
            )),
            None => {}
        }
        if excused && (table.is_some() || plan.lines <= LARGE) {
            complaints.push(format!("{}: has a table or needs none; take it out of `NOT_YET`", plan.package));
        }
    }
    let gone = tables.iter().filter(|table| !plans.iter().any(|plan| plan.package == table.package));
    complaints.extend(gone.map(|table| format!("{}: no such package", table::path(table.package))));
    complaints
}

fn against(plan: &Plan, table: &Table) -> Vec<String> {
    let mut complaints = rows(plan, table);
    complaints.extend(edges(plan, table));
    complaints.extend(files(plan));
    complaints
}

/// The rows of a table against the rooms there are, and each row against what stands below it.
fn rows(plan: &Plan, table: &Table) -> Vec<String> {
    let rooms = plan.rooms();
    let path = table::path(table.package);
    let unknown = rooms.iter().filter(|room| table.floor(room).is_none());
    let mut complaints: Vec<String> =
        unknown.map(|room| format!("{path}: has no row for room `{room}` of `{}`", plan.package)).collect();
    for (floor, (room, allowed)) in table.rooms.iter().enumerate() {
        if !rooms.contains(room) {
            complaints.push(format!("{path}: `{}` has no room `{room}`", plan.package));
        }
        let above = allowed.iter().filter(|known| **known != table::ANY && table.floor(known) <= Some(floor));
        complaints.extend(above.map(|known| format!("{path}: `{room}` may not know `{known}`, which is not below it")));
    }
    complaints
}

/// The imports between rooms that the table does not allow.
fn edges(plan: &Plan, table: &Table) -> Vec<String> {
    let forbidden = plan.between_rooms().filter(|import| !table.allows(plan.room(import.from), plan.room(import.to)));
    forbidden.map(|import| forbidden_edge(plan, table, import)).collect()
}

fn forbidden_edge(plan: &Plan, table: &Table, import: &Import) -> String {
    let (from, to) = (plan.room(import.from), plan.room(import.to));
    let Import { line, path, .. } = import;
    let file = &plan.tree.files[import.from].path;
    let reason = if table.is_upward(from, to) { "stands above it" } else { "is not in its row" };
    let table = table::path(table.package);
    format!("{file}:{line}: room `{from}` must not import from room `{to}` (`{path}`), which {reason} in `{table}`")
}

/// The circles of files.
fn files(plan: &Plan) -> Vec<String> {
    let large = plan.circles_of_files().into_iter().filter(|circle| circle.len() > MAX_CIRCLE);
    large.map(|circle| circle_of_files(plan, &circle)).collect()
}

fn circle_of_files(plan: &Plan, circle: &[usize]) -> String {
    let within = plan.imports.iter().filter(|import| circle.contains(&import.from) && circle.contains(&import.to));
    let first: BTreeMap<(usize, usize), &Import> =
        within.map(|import| ((import.from, import.to), import)).rev().collect();
    let shown: Vec<String> = first
        .values()
        .map(|import| {
            let (from, to) = (&plan.tree.files[import.from].path, &plan.tree.files[import.to].path);
            format!("\n           {from}:{} -> {to} (`{}`)", import.line, import.path)
        })
        .collect();
    format!("{}: {} files import each other; at most {MAX_CIRCLE} may:{}", plan.package, circle.len(), shown.concat())
}

#[cfg(test)]
mod tests;
