//! What a program that runs by itself may have of this machine, as the user says it.

use std::path::PathBuf;

use clap::Args;
use runtime::{Directory, LocalGrants};

use crate::{failure::Result, pairs};

/// Options of commands that run a program without a lattice.
#[derive(Debug, Args)]
#[command(next_help_heading = "Granted to the program (nothing by default)")]
pub struct GrantArgs {
    /// A directory, under the same or another name, and with `:ro` only to read; repeatable
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro]", value_parser = directory)]
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
    /// A variable is given twice.
    pub fn grants(&self) -> Result<LocalGrants> {
        let env = pairs::to_map(&self.env)?.into_iter().collect();
        Ok(LocalGrants { env, directories: self.dirs.clone(), network: self.allow_net })
    }
}

/// `HOST[::GUEST][:ro]`.
fn directory(text: &str) -> Result<Directory, String> {
    let (paths, read_only) = match text.strip_suffix(":ro") {
        Some(paths) => (paths, true),
        None => (text, false),
    };
    let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
    if host.is_empty() || guest.is_empty() {
        return Err("expected `directory`, `directory::name`, or one of them with `:ro` at the end".to_owned());
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
        for wrong in ["", "::", "a::", "::b", ":ro"] {
            granted(wrong).expect_err(wrong);
        }
    }
}
