//! One crate as it is: its rooms, the imports between them, its circles.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    graph::circles,
    tree::{Import, Tree},
};
use crate::tidy::checkout::Checkout;

/// A package with sources, and what its `use` lines say.
pub(super) struct Plan {
    pub(super) package: String,
    pub(super) lines: usize,
    pub(super) tree: Tree,
    pub(super) imports: Vec<Import>,
}

/// Every package of the checkout that has a library or a program.
pub(super) fn plans(checkout: &Checkout) -> Vec<Plan> {
    let manifests = checkout.files.iter().filter_map(|file| Some((file.path.strip_suffix("/Cargo.toml")?, &file.text)));
    manifests.filter_map(|(folder, manifest)| Plan::read(checkout, folder, manifest)).collect()
}

impl Plan {
    fn read(checkout: &Checkout, folder: &str, manifest: &str) -> Option<Self> {
        let manifest: toml::Table = manifest.parse().ok()?;
        let package = manifest.get("package")?.get("name")?.as_str()?.to_owned();
        let src = format!("{folder}/src");
        let inside = format!("{src}/");
        let texts: BTreeMap<&str, &str> = checkout
            .sources()
            .filter(|file| file.path.starts_with(&inside))
            .map(|file| (file.path.as_str(), file.text.as_str()))
            .collect();
        let lines = texts.values().map(|text| text.lines().count()).sum();
        let tree = Tree::read(&package, &src, &texts);
        let imports = tree.imports();
        Some(Self { package, lines, tree, imports })
    }

    pub(super) fn rooms(&self) -> BTreeSet<&str> {
        self.tree.files.iter().map(|file| file.room.as_str()).collect()
    }

    pub(super) fn room(&self, file: usize) -> &str {
        &self.tree.files[file].room
    }

    /// The imports from one room to another.
    pub(super) fn between_rooms(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter().filter(|import| self.room(import.from) != self.room(import.to))
    }

    /// The rooms that import each other, over however many between them.
    pub(super) fn circles_of_rooms(&self) -> Vec<Vec<&str>> {
        let rooms: Vec<&str> = self.rooms().into_iter().collect();
        let number = |file: usize| rooms.binary_search(&self.room(file)).expect("every file is in a room");
        let edges = self.between_rooms().map(|import| (number(import.from), number(import.to))).collect();
        circles(rooms.len(), &edges)
            .into_iter()
            .map(|circle| circle.into_iter().map(|room| rooms[room]).collect())
            .collect()
    }

    /// The files that import each other, inside and across rooms.
    pub(super) fn circles_of_files(&self) -> Vec<Vec<usize>> {
        circles(self.tree.files.len(), &self.imports.iter().map(|import| (import.from, import.to)).collect())
    }
}
