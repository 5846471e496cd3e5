//! The modules of one crate, and what a path in one of them means.
//!
//! A path is followed through re-exports to the file that defines its end, so that an import cannot hide behind a
//! `pub use`. That a folder shows what is in it is no import, as long as it does not need it. Invariant: a path that leaves
//! the crate resolves to nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Kind, Path, scopes};

/// More re-exports behind each other than any name has; ends a circle of them.
const MAX_HOPS: u8 = 16;

/// One crate: its files, with the room of each, and its modules.
pub(super) struct Tree {
    pub(super) files: Vec<SourceFile>,
    modules: Vec<Module>,
    /// The library of the package, which its binaries call by name.
    library: Option<(String, usize)>,
}

pub(super) struct SourceFile {
    /// As in the checkout.
    pub(super) path: String,
    pub(super) room: String,
}

/// One import between two files of a crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) line: usize,
    /// As it is written.
    pub(super) path: String,
}

#[derive(Default)]
struct Module {
    parent: Option<usize>,
    file: usize,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    bindings: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    paths: Vec<Path>,
    words: BTreeSet<String>,
}

/// What a name means in a module.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Module(usize),
    /// Something that this module defines.
    ItemOf(usize),
    Elsewhere,
    Unknown,
}

/// Where the next file stands: its folder, its parent module, its room (none yet at a root of the crate).
struct Spot<'a> {
    folder: &'a str,
    parent: Option<usize>,
    room: Option<&'a str>,
}

impl Tree {
    /// Reads a package from the texts under its `src` folder, by path.
    pub(super) fn read(package: &str, src: &str, texts: &BTreeMap<&str, &str>) -> Self {
        let mut tree = Self { files: Vec::new(), modules: Vec::new(), library: None };
        if let Some(root) = tree.add_root(src, "lib", "lib.rs", texts) {
            tree.library = Some((package.replace('-', "_"), root));
        }
        tree.add_root(src, "main", "main.rs", texts);
        for binary in binaries(src, texts) {
            let name = binary.trim_end_matches("/main.rs").trim_end_matches(".rs").to_owned();
            tree.add_root(src, &name, &binary, texts);
        }
        tree
    }

    fn add_root(&mut self, src: &str, name: &str, file: &str, texts: &BTreeMap<&str, &str>) -> Option<usize> {
        let path = format!("{src}/{file}");
        let text = texts.get(path.as_str())?;
        let folder = path.rsplit_once('/').map_or(src, |(folder, _)| folder).to_owned();
        // A binary under `bin/` is one room with all it has; `lib.rs` and `main.rs` are rooms beside their modules.
        let inside = name.starts_with("bin/").then_some(name);
        let room = inside.unwrap_or(name).to_owned();
        self.files.push(SourceFile { path, room });
        Some(self.add_scopes(text, &Spot { folder: &folder, parent: None, room: inside }, texts))
    }

    /// Adds the modules of the file that was added last, and the files they declare.
    fn add_scopes(&mut self, text: &str, spot: &Spot<'_>, texts: &BTreeMap<&str, &str>) -> usize {
        let file = self.files.len() - 1;
        let top = self.modules.len();
        let mut known: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        let mut declared = Vec::new();
        for scope in scopes(text) {
            let index = self.modules.len();
            let parent = match scope.inside.split_last() {
                None => spot.parent,
                Some((name, outer)) => known.get(outer).copied().inspect(|outer| {
                    self.modules[*outer].children.insert(name.clone(), index);
                }),
            };
            let items = scope.items.into_iter().collect();
            self.modules.push(Module { parent, file, items, words: scope.words, ..Module::default() });
            self.modules[index].take(scope.paths);
            let folder = [&[spot.folder.to_owned()][..], &scope.inside].concat().join("/");
            declared.extend(scope.files.into_iter().map(|name| (index, folder.clone(), name)));
            known.insert(scope.inside, index);
        }
        for (parent, folder, name) in declared {
            let room = spot.room.unwrap_or(&name);
            if let Some(child) =
                self.add_file(&name, &Spot { folder: &folder, parent: Some(parent), room: Some(room) }, texts)
            {
                self.modules[parent].children.insert(name, child);
            }
        }
        top
    }

    fn add_file(&mut self, name: &str, spot: &Spot<'_>, texts: &BTreeMap<&str, &str>) -> Option<usize> {
        let folder = format!("{}/{name}", spot.folder);
        let path = [format!("{folder}.rs"), format!("{folder}/mod.rs")]
            .into_iter()
            .find(|path| texts.contains_key(path.as_str()))?;
        let text = texts.get(path.as_str())?;
        self.files.push(SourceFile { path, room: spot.room.unwrap_or(name).to_owned() });
        Some(self.add_scopes(text, &Spot { folder: &folder, ..*spot }, texts))
    }

    /// Every import from one file to another.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (index, module) in self.modules.iter().enumerate() {
            for path in &module.paths {
                let to = match self.resolve(index, &path.segments, MAX_HOPS) {
                    Found::Module(to) | Found::ItemOf(to) => to,
                    Found::Elsewhere | Found::Unknown => continue,
                };
                if self.modules[to].file != module.file && !(module.only_shows(path) && self.is_inside(to, index)) {
                    let to = self.modules[to].file;
                    imports.push(Import { from: module.file, to, line: path.line, path: path.segments.join("::") });
                }
            }
        }
        imports
    }

    fn is_inside(&self, module: usize, outer: usize) -> bool {
        std::iter::successors(Some(module), |module| self.modules[*module].parent).any(|module| module == outer)
    }

    fn resolve(&self, from: usize, segments: &[String], hops: u8) -> Found {
        let Some((first, rest)) = segments.split_first().filter(|_| hops > 0) else { return Found::Elsewhere };
        let start = match first.as_str() {
            "crate" => Found::Module(self.root(from)),
            "self" | "super" => self.step(from, first, hops),
            name => match (self.lookup(from, name, hops), &self.library) {
                (Found::Unknown, Some((library, root))) if library == name => Found::Module(*root),
                (Found::Unknown, _) => Found::Elsewhere,
                (found, _) => found,
            },
        };
        rest.iter().fold(start, |found, name| match found {
            Found::Module(module) => match self.step(module, name, hops) {
                Found::Unknown => Found::ItemOf(module), // made by a macro
                found => found,
            },
            found => found,
        })
    }

    fn step(&self, module: usize, name: &str, hops: u8) -> Found {
        match name {
            "self" => Found::Module(module),
            "super" => self.modules[module].parent.map_or(Found::Elsewhere, Found::Module),
            name => self.lookup(module, name, hops),
        }
    }

    fn lookup(&self, module: usize, name: &str, hops: u8) -> Found {
        let here = &self.modules[module];
        if let Some(child) = here.children.get(name) {
            return Found::Module(*child);
        }
        if here.items.contains(name) {
            return Found::ItemOf(module);
        }
        if let Some(path) = here.bindings.get(name) {
            return self.resolve(module, path, hops - 1);
        }
        let through = here.globs.iter().filter_map(|path| match self.resolve(module, path, hops - 1) {
            Found::Module(inside) if inside != module && hops > 1 => Some(self.lookup(inside, name, hops - 1)),
            _ => None,
        });
        through.into_iter().find(|found| !matches!(found, Found::Elsewhere | Found::Unknown)).unwrap_or(Found::Unknown)
    }

    fn root(&self, module: usize) -> usize {
        let mut root = module;
        while let Some(parent) = self.modules[root].parent {
            root = parent;
        }
        root
    }
}

impl Module {
    /// Whether a path is there for others to see, and nothing here needs it.
    fn only_shows(&self, path: &Path) -> bool {
        match &path.kind {
            Kind::Binds { name, shown } => *shown && !self.words.contains(name),
            Kind::Glob { shown } => *shown,
            Kind::Code => false,
        }
    }

    fn take(&mut self, paths: Vec<Path>) {
        for path in &paths {
            match &path.kind {
                Kind::Binds { name, .. } => drop(self.bindings.insert(name.clone(), path.segments.clone())),
                Kind::Glob { .. } => self.globs.push(path.segments.clone()),
                Kind::Code => {}
            }
        }
        self.paths = paths;
    }
}

/// The roots under `bin/`, relative to `src`.
fn binaries(src: &str, texts: &BTreeMap<&str, &str>) -> Vec<String> {
    let under = texts.keys().filter_map(|path| path.strip_prefix(src)?.strip_prefix('/'));
    let roots = under
        .filter(|path| path.strip_prefix("bin/").is_some_and(|rest| !rest.contains('/') || rest.ends_with("/main.rs")));
    roots.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(texts: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::read("our-crate", "x/src", &texts.iter().copied().collect());
        let room = |file: usize| tree.files[file].path.trim_start_matches("x/src/").to_owned();
        let shown = |import: &Import| format!("{}:{} -> {}", room(import.from), import.line, room(import.to));
        tree.imports().iter().map(shown).collect()
    }

    #[test]
    fn a_path_leads_to_the_file_that_defines_its_end_through_every_re_export() {
        let found = imports(&[
            ("x/src/lib.rs", "mod a; mod b; pub use b::Thing as Named;"),
            ("x/src/a.rs", "use crate::Named;\nfn f(thing: crate::b::Thing) {}"),
            ("x/src/b/mod.rs", "mod inner; pub(crate) use self::inner::*;"),
            ("x/src/b/inner.rs", "pub(crate) struct Thing;"),
        ]);
        assert_eq!(found, ["a.rs:1 -> b/inner.rs", "a.rs:2 -> b/inner.rs"]);
    }

    #[test]
    fn names_that_are_bound_and_relative_paths_are_followed() {
        let found = imports(&[
            ("x/src/main.rs", "mod a; mod b; use our_crate::c; fn main() { a::run(); c::d(); http::get() }"),
            ("x/src/a.rs", "use super::b;\nfn run() { b::go() }"),
            ("x/src/b.rs", "mod generated { use super::super::a; make!(); }\nuse generated::Made;"),
            ("x/src/lib.rs", "pub mod c;"),
            ("x/src/c.rs", "pub fn d() {}"),
        ]);
        let expected = [
            "main.rs:1 -> c.rs",
            "main.rs:1 -> a.rs",
            "main.rs:1 -> c.rs",
            "a.rs:1 -> b.rs",
            "a.rs:2 -> b.rs",
            "b.rs:1 -> a.rs",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_shows_what_is_in_it_and_imports_what_it_needs_of_that() {
        let found = imports(&[
            ("x/src/lib.rs", "pub mod a;"),
            (
                "x/src/a/mod.rs",
                "mod shown; mod needed;\npub use shown::Shown;\npub(crate) use needed::Needed;\nstruct A(Needed);",
            ),
            ("x/src/a/shown.rs", "use super::A; pub struct Shown;"),
            ("x/src/a/needed.rs", "pub struct Needed;"),
        ]);
        assert_eq!(found, ["a/mod.rs:3 -> a/needed.rs", "a/shown.rs:1 -> a/mod.rs"]);
    }

    #[test]
    fn what_leaves_the_crate_and_circles_of_re_exports_are_no_imports() {
        let found = imports(&[
            ("x/src/lib.rs", "mod a; mod b; use bytes::{self, Bytes};"),
            ("x/src/a.rs", "use std::fmt; pub use crate::b::Lost; use ::b::X;"),
            ("x/src/b.rs", "pub use crate::a::Lost;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_binary_of_its_own_is_one_room() {
        let texts =
            [("x/src/bin/tool/main.rs", "mod part;"), ("x/src/bin/tool/part.rs", ""), ("x/src/bin/small.rs", "")];
        let tree = Tree::read("our-crate", "x/src", &texts.into_iter().collect());
        let rooms: Vec<&str> = tree.files.iter().map(|file| file.room.as_str()).collect();
        assert_eq!(rooms, ["bin/small", "bin/tool", "bin/tool"]);
    }
}
