//! What a program that runs by itself may have of this machine, as the user says it.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use runtime::{Directory, LocalGrants};

use crate::{
    arguments::pairs,
    terminal::failure::{Failure, Result},
};

/// Options of commands that run a program without a lattice.
#[derive(Debug, Args)]
#[command(next_help_heading = "Granted to the program (nothing by default)")]
pub struct GrantArgs {
    /// A directory, under the same or another name, and with `:ro` only to read (`:rw` says that it is not, where a name
    /// itself ends in `:ro`); repeatable
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro|:rw]", value_parser = OsStringValueParser::new().try_map(directory))]
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
/// The directory is a path of this machine; its name is told to the program, and is text.
fn directory(given: OsString) -> Result<Directory, String> {
    let given = given.as_bytes();
    let (paths, read_only) = match (given.strip_suffix(b":ro"), given.strip_suffix(b":rw")) {
        (Some(paths), _) => (paths, true),
        (_, Some(paths)) => (paths, false),
        _ => (given, false),
    };
    let middle = paths.windows(2).position(|two| two == b"::");
    let (host, guest) = middle.map_or((paths, paths), |at| (&paths[..at], &paths[at + 2..]));
    if host.is_empty() || guest.is_empty() {
        return Err("expected `directory`, `directory::name`, or one of them with `:ro` or `:rw` at the end".to_owned());
    }
    let host = PathBuf::from(OsStr::from_bytes(host));
    let guest = std::str::from_utf8(guest)
        .map_err(|_| "the program cannot be told a name that is not UTF-8: give one with `directory::name`")?;
    Ok(Directory { host, guest: guest.to_owned(), read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_have_a_name_for_the_program_and_a_mode() {
        let granted =
            |text: &str| directory(text.into()).map(|dir| (dir.host.display().to_string(), dir.guest, dir.read_only));
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
        let not_text = |before: &[u8]| OsStr::from_bytes(&[before, b"d-\xe9"].concat()).to_owned();
        let mut named = not_text(b"");
        named.push("::/work:ro");
        let named = directory(named).expect("the name is text");
        assert_eq!((named.host.as_os_str(), named.guest.as_str()), (not_text(b"").as_os_str(), "/work"));
        directory(not_text(b"")).expect_err("the name is the path");
        directory(not_text(b"a::")).expect_err("the name is no text");
    }

    #[test]
    fn two_directories_under_one_name_are_refused() {
        let twice = |texts: &[&str]| {
            let dirs: Vec<_> = texts.iter().map(|text| directory(text.into()).expect("a directory")).collect();
            super::twice(&dirs).map(str::to_owned)
        };
        assert_eq!(twice(&["a::/d", "b::/d"]).as_deref(), Some("/d"));
        assert_eq!(twice(&["a::/d", "b::/d/:ro"]).as_deref(), Some("/d/"));
        assert_eq!(twice(&["a::/d", "a::/e", "a", "b"]), None);
    }
}
