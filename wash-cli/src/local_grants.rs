//! What a program that runs by itself may have of this machine, as the user says it.

use std::path::PathBuf;

use clap::Args;
use runtime::{Directory, LocalGrants};

use crate::{
    failure::{Failure, Result},
    pairs,
};

/// Options of commands that run a program without a lattice.
#[derive(Debug, Args)]
#[command(next_help_heading = "Granted to the program (nothing by default)")]
pub struct GrantArgs {
    /// A directory, under the same or another name, and with `:ro` only to read (`:rw` says that it is not, where a name
    /// itself ends in `:ro`); repeatable
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro|:rw]", value_parser = directory)]
    dirs: Vec<Directory>,
    /// A variable of its environment; repeatable
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = pairs::parse)]
    env: Vec<(String, String)>,
    /// Sockets to any address, and looking up names
    #[arg(long)]
    allow_net: bool,
}

impl GrantArgs {
    /// As the runtime wants them.
    ///
    /// # Errors
    /// A variable, or a name of a directory, is given twice.
    pub fn grants(&self) -> Result<LocalGrants> {
        if let Some(name) = twice(&self.dirs) {
            let failure = Failure::usage(format!("`--dir` gives the program two directories under the name `{name}`"));
            return Err(failure.hint("give each its own: `--dir DIRECTORY::NAME`"));
        }
        let env = pairs::to_map(&self.env)?.into_iter().collect();
        Ok(LocalGrants { env, directories: self.dirs.clone(), network: self.allow_net })
    }
}

/// A name that two of them have. A slash at its end makes no other name.
fn twice(dirs: &[Directory]) -> Option<&str> {
    let name = |dir: &Directory| dir.guest.trim_end_matches('/').to_owned();
    let again = |(index, dir): &(usize, &Directory)| dirs[..*index].iter().any(|before| name(before) == name(dir));
    dirs.iter().enumerate().find(again).map(|(_, dir)| dir.guest.as_str())
}

/// `HOST[::GUEST][:ro|:rw]`. Only the last word counts, so `:rw` behind a name that ends in `:ro` leaves that name as it is.
fn directory(text: &str) -> Result<Directory, String> {
    let (paths, read_only) = match (text.strip_suffix(":ro"), text.strip_suffix(":rw")) {
        (Some(paths), _) => (paths, true),
        (_, Some(paths)) => (paths, false),
        _ => (text, false),
    };
    let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
    if host.is_empty() || guest.is_empty() {
        return Err("expected `directory`, `directory::name`, or one of them with `:ro` or `:rw` at the end".to_owned());
    }
    Ok(Directory { host: PathBuf::from(host), guest: guest.to_owned(), read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_have_a_name_for_the_program_and_a_mode() {
        let granted = |text| directory(text).map(|dir| (dir.host.display().to_string(), dir.guest, dir.read_only));
        let expect = |host: &str, guest: &str, read_only| Ok((host.to_owned(), guest.to_owned(), read_only));
        assert_eq!(granted("data"), expect("data", "data", false));
        assert_eq!(granted("/srv/data::/data"), expect("/srv/data", "/data", false));
        assert_eq!(granted("/srv/data::/data:ro"), expect("/srv/data", "/data", true));
        assert_eq!(granted(".:ro"), expect(".", ".", true));
        assert_eq!(granted("odd:ro:rw"), expect("odd:ro", "odd:ro", false), "a directory whose name ends so");
        assert_eq!(granted("odd:ro:ro"), expect("odd:ro", "odd:ro", true));
        assert_eq!(granted("a::/odd:rw:rw"), expect("a", "/odd:rw", false));
        for wrong in ["", "::", "a::", "::b", ":ro"] {
            granted(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn two_directories_under_one_name_are_refused() {
        let twice = |texts: &[&str]| {
            let dirs: Vec<_> = texts.iter().map(|text| directory(text).expect("a directory")).collect();
            super::twice(&dirs).map(str::to_owned)
        };
        assert_eq!(twice(&["a::/d", "b::/d"]).as_deref(), Some("/d"));
        assert_eq!(twice(&["a::/d", "b::/d/:ro"]).as_deref(), Some("/d/"));
        assert_eq!(twice(&["a::/d", "a::/e", "a", "b"]), None);
    }
}
