//! What hosts cost that do nothing: processor time of this process, and messages as the nats-server counts them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lattice_tests::try_get;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::crowd::Crowd;

/// One interval of heartbeats, so that every host sends one, whenever it began.
pub const IDLE: Duration = Duration::from_secs(30);
/// Until the last change has been told and forgotten.
const SETTLE: Duration = Duration::from_secs(5);

/// A time in which nothing is asked for.
pub struct Idle {
    /// Of one core, in percent, by all hosts together.
    pub cpu: f64,
    /// Messages to the server in a second.
    pub incoming: f64,
    /// Messages from the server in a second.
    pub outgoing: f64,
}

/// Waits, and says what the hosts did meanwhile.
pub async fn measure(crowd: &Crowd) -> Result<Idle> {
    tokio::time::sleep(SETTLE).await;
    let (began, cpu, before) = (Instant::now(), processor_time(), Messages::of(crowd).await?);
    tokio::time::sleep(IDLE).await;
    let (spent, after) = (processor_time() - cpu, Messages::of(crowd).await?);
    let time = began.elapsed().as_secs_f64();
    Ok(Idle {
        cpu: 100.0 * spent / time,
        incoming: (after.incoming - before.incoming) / time,
        outgoing: (after.outgoing - before.outgoing) / time,
    })
}

/// Seconds of this process so far, on all cores.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

struct Messages {
    incoming: f64,
    outgoing: f64,
}

impl Messages {
    /// So far.
    async fn of(crowd: &Crowd) -> Result<Self> {
        let answer = try_get(crowd.monitor, "/varz").await.map_err(anyhow::Error::msg).context("the nats-server")?;
        let answer: Value = serde_json::from_str(&answer.body).context("what the nats-server says is not JSON")?;
        let count = |name: &str| answer[name].as_f64().with_context(|| format!("the nats-server tells no `{name}`"));
        Ok(Self { incoming: count("in_msgs")?, outgoing: count("out_msgs")? })
    }
}
