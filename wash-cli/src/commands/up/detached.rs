//! The host in a process of its own: starts this program again and waits until that host answers.

use std::{path::Path, process::Stdio, time::Duration};

use lattice::{
    client::ControlClient,
    control::{AskWhy, HostSummary},
    subject::ControlRoot,
};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use super::{
    plan::Plan,
    words::{announce, say_store},
};
use crate::{
    context::Context,
    machine::{files::append_private, hosts_here},
    nats_server::process::tail,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// For what the host knows of its NATS server.
const PATIENCE: Duration = Duration::from_secs(2);
const LOG_LINES: usize = 15;

/// Starts the process and waits for its host.
///
/// # Errors
/// It ends at once or does not answer in time; the end of its log is part of the text, and it is not left running.
pub async fn start(plan: &Plan, root: &ControlRoot, context: &Context) -> Result<Output> {
    let log_path = hosts_here::log_of(&plan.state_dir);
    let log = append_private(&log_path).while_doing(|| format!("cannot write `{}`", log_path.display()))?;
    let logged_before = log.metadata()?.len();
    let program = std::env::current_exe().while_doing(|| "cannot find this program to start it again".to_owned())?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg("--plan")
        .arg(serde_json::to_string(plan)?)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .while_doing(|| "cannot start this program again".to_owned())?;
    match answer(&mut child, plan, root, &log_path, logged_before).await {
        Ok(host) => {
            let id = host.id.to_string();
            let control = ControlClient::socket(host::socket_path(&plan.state_dir), root.clone(), PATIENCE);
            let known = control.why(&host.id, &AskWhy::default()).await.ok();
            say_store(known.and_then(|reply| reply.nats.store_refused), context);
            Ok(announce(&host.friendly_name, &id, root, plan, Some(&log_path), "wash down"))
        }
        Err(failure) => {
            let _ = child.kill().await;
            Err(failure)
        }
    }
}

async fn answer(child: &mut Child, plan: &Plan, root: &ControlRoot, log: &Path, from: u64) -> Result<HostSummary> {
    let deadline = Instant::now() + DEADLINE;
    let with_log =
        |what: String| Failure::new(format!("{what}; the end of `{}`:\n{}", log.display(), tail(log, from, LOG_LINES)));
    loop {
        if let Some(host) = hosts_here::ask(&plan.state_dir, root).await {
            return Ok(host);
        }
        if let Some(status) = child.try_wait()? {
            return Err(with_log(format!("the host ended at once ({status})")));
        }
        if Instant::now() > deadline {
            return Err(with_log(format!("the host did not answer within {} s", DEADLINE.as_secs())));
        }
        tokio::time::sleep(POLL).await;
    }
}
