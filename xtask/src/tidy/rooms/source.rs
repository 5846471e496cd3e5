//! What one Rust file says about names: the modules it declares, the items it defines, what it imports, the paths it uses.
//!
//! Reads one file and resolves nothing: that is [`super::tree`].

use std::collections::BTreeSet;

use super::tokens::{Token, tokens};

/// A module of a file: the file itself, or a `mod name { … }` inside it.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The names of the inline modules it stands in, outermost first; empty for the file itself.
    pub(super) inside: Vec<String>,
    /// `mod name;`: modules with a file of their own.
    pub(super) files: Vec<String>,
    pub(super) items: Vec<String>,
    pub(super) paths: Vec<Path>,
    /// Every word outside of its `use` lines.
    pub(super) words: BTreeSet<String>,
}

/// A path, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `use` that binds a name here, and shows it to others if it begins with `pub`.
    Binds { name: String, shown: bool },
    /// A `use` of everything inside.
    Glob { shown: bool },
    /// A path in other code.
    Code,
}

/// Words before the name of an item.
const DEFINES: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];

/// The scopes of a file, the file itself first.
pub(super) fn scopes(text: &str) -> Vec<Scope> {
    let tokens = tokens(text);
    let mut reader = Reader { tokens: &tokens, at: 0, depth: 0, open: vec![(0, 0)], scopes: vec![Scope::default()] };
    while reader.at < tokens.len() {
        reader.step();
    }
    reader.scopes
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
    /// The scopes we are in: index, and how deep its braces stand.
    open: Vec<(usize, usize)>,
    scopes: Vec<Scope>,
}

impl<'a> Reader<'a> {
    fn text(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn before(&self) -> &'a str {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or("", |token| token.text)
    }

    fn name_at(&self, ahead: usize) -> Option<String> {
        self.tokens.get(self.at + ahead).filter(|token| token.is_name()).map(|token| token.text.to_owned())
    }

    fn scope(&mut self) -> &mut Scope {
        let index = self.open.last().map_or(0, |(index, _)| *index);
        &mut self.scopes[index]
    }

    /// Whether we stand between items, not in a body or a macro.
    fn between_items(&self) -> bool {
        self.open.last().is_some_and(|(_, depth)| *depth == self.depth)
    }

    fn step(&mut self) {
        match self.text(0) {
            "{" => self.depth += 1,
            "}" => self.close(),
            "mod" if self.between_items() => return self.module(),
            "use" if self.text(1) != "<" => return self.import(),
            word if DEFINES.contains(&word) && self.between_items() => self.item(),
            _ if self.begins_path() => return self.path(),
            _ => {}
        }
        if let Some(word) = self.name_at(0) {
            self.scope().words.insert(word);
        }
        self.at += 1;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.open.len() > 1 && self.open.last().is_some_and(|(_, depth)| *depth > self.depth) {
            self.open.pop();
        }
    }

    fn module(&mut self) {
        let Some(name) = self.name_at(1) else {
            self.at += 1;
            return;
        };
        if self.text(2) == "{" {
            let mut inside = self.scope().inside.clone();
            inside.push(name);
            self.depth += 1;
            self.open.push((self.scopes.len(), self.depth));
            self.scopes.push(Scope { inside, ..Scope::default() });
        } else {
            self.scope().files.push(name);
        }
        self.at += 3;
    }

    fn item(&mut self) {
        let ahead = 1 + usize::from(matches!(self.text(1), "!" | "mut"));
        if let Some(name) = self.name_at(ahead) {
            self.scope().items.push(name);
        }
    }

    /// Whether a path of at least two names begins here.
    fn begins_path(&self) -> bool {
        let begins = self.tokens[self.at].is_name() && self.text(1) == "::" && !matches!(self.before(), "::" | ".");
        begins && !(self.before() == "in" && self.at >= 2 && self.tokens[self.at - 2].text == "(") // `pub(in crate::a)`
    }

    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut segments = vec![self.text(0).to_owned()];
        self.scope().words.extend(segments.iter().cloned());
        self.at += 1;
        while self.text(0) == "::" {
            let Some(name) = self.name_at(1) else { break };
            segments.push(name);
            self.at += 2;
        }
        self.scope().paths.push(Path { segments, line, kind: Kind::Code });
    }

    fn import(&mut self) {
        // Behind `pub`, or the end of `pub(…)`; nothing else may stand there but the end of what was before.
        let shown = matches!(self.before(), "pub" | ")");
        self.at += 1;
        if self.text(0) == "::" {
            // A path that begins so leaves the crate.
            while !matches!(self.text(0), ";" | "") {
                self.at += 1;
            }
            return;
        }
        self.tree(&[], shown);
    }

    /// One tree of a `use`, up to what ends it.
    fn tree(&mut self, prefix: &[String], shown: bool) {
        let mut segments = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(0) {
                "::" => self.at += 1,
                "{" => return self.group(&segments, shown),
                "*" => {
                    self.at += 1;
                    return self.scope().paths.push(Path { segments, line, kind: Kind::Glob { shown } });
                }
                _ => match self.name_at(0) {
                    Some(name) if name == "as" => break,
                    Some(name) => {
                        segments.push(name);
                        self.at += 1;
                    }
                    None => break,
                },
            }
        }
        self.bind(segments, line, shown);
    }

    fn bind(&mut self, mut segments: Vec<String>, line: usize, shown: bool) {
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop(); // `a::{self, B}`
        }
        let mut name = segments.last().cloned().unwrap_or_default();
        if self.text(0) == "as" {
            name = self.name_at(1).unwrap_or_default();
            self.at += 2;
        }
        self.scope().paths.push(Path { segments, line, kind: Kind::Binds { name, shown } });
    }

    fn group(&mut self, prefix: &[String], shown: bool) {
        self.at += 1;
        while !matches!(self.text(0), "}" | "") {
            let before = self.at;
            match self.text(0) {
                "," => self.at += 1,
                _ => self.tree(prefix, shown),
            }
            self.at = self.at.max(before + 1);
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let all = scopes(text);
        let shown = |path: &Path| match &path.kind {
            Kind::Binds { name, .. } => format!("{}:{} = {name}", path.line, path.segments.join("::")),
            Kind::Glob { .. } => format!("{}:{}::*", path.line, path.segments.join("::")),
            Kind::Code => format!("{}:{}", path.line, path.segments.join("::")),
        };
        all.iter().flat_map(|scope| &scope.paths).map(shown).collect()
    }

    #[test]
    fn a_tree_of_imports_is_taken_apart_with_its_lines() {
        let text = "pub(crate) use crate::{\n    a::{self, B as C},\n    d::*,\n};\nuse super::E as _;";
        let expected = ["2:crate::a = a", "2:crate::a::B = C", "3:crate::d::*", "5:super::E = _"];
        assert_eq!(paths(text), expected);
    }

    #[test]
    fn paths_in_code_and_in_macros_are_seen_and_visibilities_are_not() {
        let text = "pub(in crate::a) fn f() -> impl Sized + use<'_> { bindgen!({ with: { \"x\": crate::b::C } }); super::d(); x.e::<F>() }";
        assert_eq!(paths(text), ["1:crate::b::C", "1:super::d"]);
    }

    #[test]
    fn inline_modules_are_scopes_of_their_own() {
        let scopes = scopes(
            "mod a; fn b() { fn inner() {} } mod c { use super::D; struct E; mod f { static G: u8 = 0; } }\nenum H {}",
        );
        assert_eq!(scopes[0].files, ["a"]);
        assert_eq!(scopes[0].items, ["b", "H"]);
        assert_eq!((scopes[1].inside.join("::"), scopes[1].items.join(" ")), ("c".to_owned(), "E".to_owned()));
        assert_eq!((scopes[2].inside.join("::"), scopes[2].items.join(" ")), ("c::f".to_owned(), "G".to_owned()));
        assert_eq!(scopes[1].paths.len(), 1);
    }
}
