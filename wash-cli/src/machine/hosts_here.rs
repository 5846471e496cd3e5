//! Hosts of this machine: their state directories under `$WASH_HOME/hosts` and who answers on their sockets.
//!
//! Knows directories, locks and sockets; refuses to know NATS. Invariant: a host counts as present only when it has
//! just answered on its own socket, never because a file is there.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use lattice::{LatticeId, client::ControlClient, control::HostSummary, subject::ControlRoot};

use crate::{
    machine::{
        files::{append_private, create_private_dir},
        home::{Home, subdirectories},
    },
    terminal::failure::{OrFail, Result},
};

const LOG: &str = "host.log";
const PATIENCE: Duration = Duration::from_secs(2);

/// A host of this machine which answers.
#[derive(Debug, Clone)]
pub struct LocalHost {
    /// Its state directory.
    pub state_dir: PathBuf,
    /// What it says about itself.
    pub summary: HostSummary,
}

impl LocalHost {
    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        host::socket_path(&self.state_dir)
    }

    /// Its friendly name.
    pub fn name(&self) -> &str {
        &self.summary.friendly_name
    }
}

/// Where a detached host of this state directory writes its log.
pub fn log_of(state_dir: &Path) -> PathBuf {
    state_dir.join(LOG)
}

/// The hosts of this machine in one lattice which answer, in the order of their directories.
pub async fn answering(home: &Home, root: &ControlRoot) -> Vec<LocalHost> {
    let directories = subdirectories(&home.hosts_of(root.lattice()));
    let asked = directories.into_iter().map(|state_dir| async {
        let summary = ask(&state_dir, root).await?;
        Some(LocalHost { state_dir, summary })
    });
    let mut hosts: Vec<LocalHost> = join_all(asked).await.into_iter().flatten().collect();
    // One host may be found twice, when its own state directory is linked from ours.
    let mut seen = std::collections::BTreeSet::new();
    hosts.retain(|host| seen.insert(host.summary.id));
    hosts
}

/// Asks the host of a state directory who it is.
pub async fn ask(state_dir: &Path, root: &ControlRoot) -> Option<HostSummary> {
    let socket = host::socket_path(state_dir);
    if !socket.exists() {
        return None;
    }
    let control = ControlClient::socket(socket, root.clone(), PATIENCE);
    control.hosts().await.ok()?.replies.into_iter().next()
}

/// Hosts of this machine in any lattice which answer.
pub async fn answering_anywhere(home: &Home) -> Vec<LocalHost> {
    let lattices = subdirectories(&home.hosts());
    let names = lattices.iter().filter_map(|path| path.file_name()?.to_str()?.parse::<LatticeId>().ok());
    let mut all = Vec::new();
    for lattice in names {
        all.extend(answering(home, &ControlRoot::new(lattice)).await);
    }
    all
}

/// Holds the right to choose a state directory of a lattice, until the host that was chosen for has its own lock.
#[derive(Debug)]
pub struct Choosing {
    _file: File,
}

/// Waits for the right to choose a state directory.
///
/// # Errors
/// The directory cannot be written.
pub async fn start_choosing(home: &Home, lattice: &LatticeId) -> Result<Choosing> {
    let parent = home.hosts_of(lattice);
    create_private_dir(&parent)?;
    let path = parent.join(".choosing");
    let file = append_private(&path).while_doing(|| format!("cannot open `{}`", path.display()))?;
    let file = tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await?
        .while_doing(|| format!("cannot lock `{}`", path.display()))?;
    Ok(Choosing { _file: file })
}

/// The first numbered state directory in which no host runs, created if it is new.
///
/// # Errors
/// It cannot be created.
pub fn free_state_dir(_choosing: &Choosing, home: &Home, lattice: &LatticeId) -> Result<PathBuf> {
    let parent = home.hosts_of(lattice);
    let free = (1u32..)
        .map(|number| parent.join(number.to_string()))
        // A link leads to somebody's own state directory; its place is not ours to fill.
        .find(|path| !path.is_symlink() && !host::is_in_use(path))
        .unwrap_or_else(|| parent.join("1"));
    create_private_dir(&free)?;
    Ok(free)
}

/// Makes a host with a state directory of its own findable: a link to it among the numbered ones.
///
/// # Errors
/// The link cannot be created.
pub fn register(_choosing: &Choosing, home: &Home, lattice: &LatticeId, state_dir: &Path) -> Result<()> {
    let parent = home.hosts_of(lattice);
    let wanted = std::path::absolute(state_dir)?;
    if wanted.starts_with(&parent) {
        return Ok(());
    }
    let entries: Vec<PathBuf> = std::fs::read_dir(&parent)
        .while_doing(|| format!("cannot read `{}`", parent.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_symlink())
        .collect();
    for link in entries {
        match std::fs::read_link(&link) {
            Ok(target) if target == wanted => return Ok(()),
            Ok(target) if !target.exists() => drop(std::fs::remove_file(&link)),
            _ => {}
        }
    }
    let free = (1u32..).map(|number| parent.join(format!("own-{number}"))).find(|path| !path.is_symlink());
    let link = free.unwrap_or_else(|| parent.join("own-0"));
    std::os::unix::fs::symlink(&wanted, &link).while_doing(|| format!("cannot create `{}`", link.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn the_first_directory_without_a_running_host_is_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let (home, lattice) = (Home::at(dir.path()), LatticeId::default());
        let choosing = start_choosing(&home, &lattice).await.unwrap();
        let first = free_state_dir(&choosing, &home, &lattice).unwrap();
        assert!(first.ends_with("hosts/default/1"), "{}", first.display());

        let lock = append_private(&first.join("lock")).unwrap();
        lock.lock().unwrap();
        let second = free_state_dir(&choosing, &home, &lattice).unwrap();
        assert!(second.ends_with("hosts/default/2"), "{}", second.display());
        drop(lock);
        assert_eq!(free_state_dir(&choosing, &home, &lattice).unwrap(), first);
    }

    #[tokio::test]
    async fn a_state_directory_elsewhere_is_linked_once_and_dead_links_go() {
        let dir = tempfile::tempdir().unwrap();
        let (home, lattice) = (Home::at(dir.path().join("wash")), LatticeId::default());
        let choosing = start_choosing(&home, &lattice).await.unwrap();
        let (gone, own) = (dir.path().join("gone"), dir.path().join("own"));
        for path in [&gone, &own] {
            std::fs::create_dir(path).unwrap();
            register(&choosing, &home, &lattice, path).unwrap();
        }
        std::fs::remove_dir(&gone).unwrap();
        register(&choosing, &home, &lattice, &own).unwrap();
        let new = dir.path().join("new");
        std::fs::create_dir(&new).unwrap();
        register(&choosing, &home, &lattice, &new).unwrap();
        let targets: Vec<PathBuf> =
            subdirectories(&home.hosts_of(&lattice)).iter().map(|link| std::fs::read_link(link).unwrap()).collect();
        assert_eq!(targets, [new, own], "the place of the dead link is taken again");
    }

    #[tokio::test]
    async fn a_socket_nobody_listens_on_is_no_host() {
        let dir = tempfile::tempdir().unwrap();
        let (home, lattice) = (Home::at(dir.path()), LatticeId::default());
        let state_dir = home.hosts_of(&lattice).join("1");
        create_private_dir(&state_dir).unwrap();
        drop(std::os::unix::net::UnixListener::bind(host::socket_path(&state_dir)).unwrap());
        assert!(answering(&home, &ControlRoot::new(lattice)).await.is_empty());
    }
}
