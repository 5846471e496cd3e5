//! `cargo xtask tidy`: the house rules as checks. The same checks are tests of this package.
//!
//! Each rule is a function from text to complaints, one file per subject; this file reads the checkout and lists the
//! rules. A rule that cannot complain is no rule: each has a test that makes it.

mod edges;
mod lock;
mod paperwork;
mod rooms;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The text files of a checkout.
struct Checkout {
    files: Vec<File>,
}

/// One text file, its path relative to the root and with `/`.
struct File {
    path: String,
    text: String,
}

/// A rule: its name, and what finds the complaints.
type Rule = (&'static str, fn(&Checkout) -> Vec<String>);

const RULES: &[Rule] = &[
    ("dependencies point one way", edges::complaints),
    ("rooms know what their table says, without circles", rooms::complaints),
    ("one TLS stack, one copy of what must be one", lock::complaints),
    ("every source file says what it owns", sources::without_opening),
    ("subjects are spelled in crates/lattice only", sources::with_subjects),
    ("no path of a machine, no address of a registry", sources::with_machine_paths),
    ("docs move together with the code they describe", paperwork::complaints),
];

/// What to look at.
#[derive(clap::Args)]
pub struct Args {
    /// Print the rooms of each crate in numbers, and its circles of imports, in place of the checks.
    #[arg(long)]
    rooms: bool,
}

/// Runs the command.
///
/// # Errors
/// When any rule is broken; every complaint is printed first.
pub fn run(args: &Args) -> Result<()> {
    let checkout = Checkout::read(workspace::root())?;
    if args.rooms {
        print!("{}", rooms::report(&checkout));
        return Ok(());
    }
    let mut broken = 0;
    for (name, rule) in RULES {
        let complaints = rule(&checkout);
        println!("{} {name}", if complaints.is_empty() { "ok    " } else { "BROKEN" });
        complaints.iter().for_each(|complaint| println!("         {complaint}"));
        broken += complaints.len();
    }
    if broken > 0 {
        bail!("{broken} complaints");
    }
    Ok(())
}

impl Checkout {
    fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).with_context(|| format!("cannot read `{}`", dir.display()))? {
                let path = entry.context("cannot read a directory entry")?.path();
                if path.is_dir() && !path.is_symlink() {
                    let skipped = path.file_name().is_some_and(|name| name == "target" || name == ".git");
                    dirs.extend((!skipped).then_some(path));
                } else if let Ok(text) = fs::read_to_string(&path) {
                    files.push(File { path: relative(root, path), text }); // what is not text is not ours to judge
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}

fn relative(root: &Path, path: PathBuf) -> String {
    path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
impl Checkout {
    /// A checkout made up for the test of a rule.
    fn of(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| File { path: path.to_owned(), text: text.to_owned() };
        Self { files: files.iter().map(file).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_is_tidy() {
        let checkout = Checkout::read(workspace::root()).expect("the checkout");
        assert!(checkout.sources().count() > 10, "the checkout was not read");
        let complaints: Vec<String> = RULES.iter().flat_map(|(_, rule)| rule(&checkout)).collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}
