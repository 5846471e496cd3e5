//! Credential helpers: programs named `docker-credential-…` that keep secrets for docker.
//!
//! One is asked by writing the registry to `… get` and reading JSON back. It may be slow, hang or write without end, so
//! its time and its answer are bounded, and it is killed when nobody waits for it any more.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::error::CredentialError;
use super::kept::{Credentials, Secret};
use crate::text::excerpt;

/// Longest answer read, bytes.
const MAX_ANSWER: u64 = 64 << 10;
/// How helpers say that they hold nothing for a registry.
const NOT_FOUND: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

pub(super) async fn ask(name: &str, server: &str, timeout: Duration) -> Result<Credentials, CredentialError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(CredentialError::BadHelperName { helper: excerpt(name) });
    }
    let helper = format!("docker-credential-{name}");
    let child = Command::new(&helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| CredentialError::HelperMissing { helper: helper.clone(), source })?;
    match tokio::time::timeout(timeout, converse(child, server)).await {
        Err(_) => Err(CredentialError::HelperHangs { helper, after: timeout }),
        Ok(Err(_)) => Err(CredentialError::HelperAnswer { helper }),
        Ok(Ok((succeeded, text))) => read_answer(helper, succeeded, &text),
    }
}

async fn converse(mut child: Child, server: &str) -> std::io::Result<(bool, Zeroizing<Vec<u8>>)> {
    let mut input = child.stdin.take().expect("standard input was piped");
    let output = child.stdout.take().expect("standard output was piped");
    // A helper may answer without having read the question.
    let _ = input.write_all(format!("{server}\n").as_bytes()).await;
    drop(input);
    let mut text = Zeroizing::new(Vec::new());
    output.take(MAX_ANSWER + 1).read_to_end(&mut text).await?;
    if text.len() as u64 > MAX_ANSWER {
        return Err(std::io::Error::other("the answer is too long"));
    }
    Ok((child.wait().await?.success(), text))
}

fn read_answer(helper: String, succeeded: bool, text: &[u8]) -> Result<Credentials, CredentialError> {
    if !succeeded {
        let said = String::from_utf8_lossy(text).trim().to_owned();
        if said.contains(NOT_FOUND) {
            return Ok(Credentials::Anonymous);
        }
        // One that fails and answers all the same is not quoted: what it says may be a secret.
        let said = if said.starts_with(['{', '[']) { "what it said is an answer".to_owned() } else { excerpt(&said) };
        return Err(CredentialError::HelperFailed { helper, said });
    }
    let answer: Answer = serde_json::from_slice(text).map_err(|_| CredentialError::HelperAnswer { helper })?;
    // The user name by which helpers say that the secret is no password.
    Ok(if answer.username == "<token>" {
        Credentials::Identity(answer.secret)
    } else {
        Credentials::basic(answer.username, answer.secret)
    })
}
