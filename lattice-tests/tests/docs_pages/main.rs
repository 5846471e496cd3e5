//! The pages that people follow: every command on them is run, in order, as it stands there.
//!
//! What cannot be run is named by a comment on the page itself, and listed here: a page that says it of another command fails.
//! The rules by which a page is read are in `page`, those by which its commands are run in `reader`.

mod buckets;
mod examples;
mod moving;
mod page;
mod reader;

use std::{fs, os::unix::fs::symlink, path::Path};

use lattice_tests::{NatsServer, binary, free_address, skip};
use reader::Reader;
use xtask::workspace;

/// What `wash` reads to find a NATS server elsewhere than on 4222.
const PORT_VARIABLES: [&str; 3] = ["NATS_PORT", "WASMCLOUD_CTL_PORT", "WASMCLOUD_RPC_PORT"];

fn read(page: &str) -> Vec<page::Step> {
    page::steps(&fs::read_to_string(workspace::root().join(page)).expect("the page is there"))
}

/// The directory of `wash` and `wash-host`.
fn programs() -> String {
    let own = binary("wash").parent().expect("a file has a directory").display().to_string();
    format!("{own}:{}", std::env::var("PATH").unwrap_or_default())
}

/// A reader with a port for NATS; none when there is no nats-server, which is then said.
fn reader(port: u16, more: &[(&str, String)]) -> Option<Reader> {
    let Some(nats_server) = xtask::nats_server::find(None).expect("a usable nats-server") else {
        skip("a nats-server");
        return None;
    };
    let mut variables: Vec<(&str, String)> = PORT_VARIABLES.iter().map(|name| (*name, port.to_string())).collect();
    variables.push(("NATS_SERVER_BIN", nats_server.path.display().to_string()));
    variables.extend(more.iter().cloned());
    Some(Reader::new(&variables))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme() {
    let Some(mut reader) = reader(free_address().port(), &[]) else { return };
    // The clone, with what the two commands that are not run would have built.
    let (clone, folder) = (workspace::root(), reader.folder());
    for entry in fs::read_dir(clone).expect("the clone").map(|entry| entry.expect("an entry")) {
        if entry.file_name() != "target" {
            symlink(entry.path(), folder.join(entry.file_name())).expect("a link");
        }
    }
    fs::create_dir_all(folder.join("target/release")).expect("a directory");
    symlink(binary("wash"), folder.join("target/release/wash")).expect("a link");
    reader.follow(read("README.md")).await;
    assert_eq!(
        reader.not_run,
        // The whole test suite and what it shows; what fetches tools of the tests; what builds the binary under test.
        ["cargo xtask demo", "cargo xtask test", "cargo xtask tools", "cargo build --release --package wash-cli"]
    );
    assert!(reader.ran >= 45, "{} commands", reader.ran);
}

/// One after the other, because the second uses what the first has made.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_actor_and_the_first_provider() {
    // Built as on the page, but not optimised, and what is not the reader's own is kept for the next run.
    let kept = workspace::root().join("target/docs_pages").display().to_string();
    let building =
        [("PATH", programs()), ("CARGO_BUILD_BUILD_DIR", kept), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0".to_owned())];
    let Some(mut reader) = reader(free_address().port(), &building) else { return };
    reader.follow(read("docs/first-actor.md")).await;
    reader.follow(read("docs/first-provider.md")).await;
    assert_eq!(reader.not_run, Vec::<String>::new());
    assert!(reader.ran >= 35, "{} commands", reader.ran);
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_from_0_82() {
    // The lattice that goes on.
    let Some(server) = NatsServer::start().await else { return };
    let Some(mut reader) = reader(server.address().port(), &[("PATH", programs())]) else { return };
    reader.follow(read("docs/moving-from-0.82.md")).await;
    assert_eq!(reader.not_run, Vec::<String>::new());
    assert_eq!(reader.ran, 4);
}

/// Commands in running text: there is such a command, unless the text says that there is not.
#[test]
fn commands_in_the_text_are_commands() {
    let mut checked = 0;
    for page in ["README.md", "docs/first-actor.md", "docs/first-provider.md", "docs/moving-from-0.82.md"] {
        let text = fs::read_to_string(workspace::root().join(page)).expect("the page is there");
        for line in text.lines() {
            let absent = ["not yet", "not there yet", "gone there too"].iter().any(|words| line.contains(words));
            for span in line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("wash ")) {
                let words: Vec<&str> = span.split_whitespace().skip(1).take_while(|word| is_command(word)).collect();
                let known = is_known(&binary("wash"), &words);
                // Of several on such a line, those that are there stand behind what they replace.
                assert!(known || absent, "{page}: `{span}` is no command");
                checked += usize::from(known);
            }
        }
    }
    assert!(checked >= 15, "{checked} commands");
}

fn is_command(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether `wash` has help for it; words behind a command may be its arguments, so the first one counts.
fn is_known(wash: &Path, words: &[&str]) -> bool {
    let Some(first) = words.first() else { return true };
    let help = std::process::Command::new(wash).args([*first, "--help"]).output().expect("wash runs");
    help.status.success()
}
