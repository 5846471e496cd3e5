//! Sending spans to an OTLP/HTTP receiver, in batches.
//!
//! Owns the receiving end of the queue. A receiver that is away costs spans, never memory and never a call. Invariant:
//! every span that was queued is counted once, as exported or as dropped.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reqwest::{
    Client, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
    redirect::Policy,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Counts, Ended, Resource, TracingConfig, otlp};

/// Most spans in one request.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Longest wait for the receiver's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Waits before a batch is sent again that the receiver could not take now.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// What a stop allows for the spans that are left.
const LAST: Duration = Duration::from_secs(2);

/// Sends what ends up in the queue; run it as a task.
pub struct Exporter {
    url: String,
    headers: HeaderMap,
    resource: Resource,
    ended: mpsc::Receiver<Ended>,
    counts: Arc<Counts>,
    failing: bool,
}

enum Failure {
    /// Trying again may help.
    Passing(String),
    /// It will not.
    Final(String),
}

impl Exporter {
    pub(super) fn new(
        config: TracingConfig,
        resource: Resource,
        ended: mpsc::Receiver<Ended>,
        counts: Arc<Counts>,
    ) -> Self {
        let url = format!("{}/v1/traces", config.endpoint.trim_end_matches('/'));
        Self { url, headers: config.headers, resource, ended, counts, failing: false }
    }

    /// Exports until `stop` was called and the queue is empty, or two seconds after.
    pub async fn run(mut self, stop: CancellationToken) {
        let client = match client(self.headers.clone()) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "cannot export traces");
                return;
            }
        };
        let mut batch = Vec::with_capacity(BATCH);
        while self.gather(&mut batch, &stop).await {
            if !batch.is_empty() {
                tokio::select! {
                    () = self.send(&client, &batch) => batch.clear(),
                    () = stop.cancelled() => {}
                }
            }
        }
        self.finish(&client, batch).await;
    }

    /// A batch: full, or as much as came within a moment of its first span. False at the end.
    async fn gather(&mut self, batch: &mut Vec<Ended>, stop: &CancellationToken) -> bool {
        tokio::select! {
            came = self.ended.recv_many(batch, BATCH) => if came == 0 { return false },
            () = stop.cancelled() => return false,
        }
        let fill = async { while batch.len() < BATCH && self.ended.recv_many(batch, BATCH - batch.len()).await > 0 {} };
        tokio::select! {
            _ = tokio::time::timeout(GATHER, fill) => true,
            () = stop.cancelled() => false,
        }
    }

    /// What is left at the end, as far as there is time.
    async fn finish(mut self, client: &Client, mut batch: Vec<Ended>) {
        self.ended.close();
        while let Ok(span) = self.ended.try_recv() {
            batch.push(span);
        }
        let mut sent = 0;
        let sending = async {
            for spans in batch.chunks(BATCH) {
                post(client, &self.url, &self.resource, spans).await?;
                sent += spans.len();
            }
            Ok::<(), Failure>(())
        };
        let outcome = tokio::time::timeout(LAST, sending).await;
        let lost = batch.len() - sent;
        self.counts.exported.fetch_add(sent as u64, Ordering::Relaxed);
        self.counts.dropped.fetch_add(lost as u64, Ordering::Relaxed);
        if !matches!(outcome, Ok(Ok(()))) {
            tracing::warn!(lost, "the process ended before all spans were exported");
        }
    }

    async fn send(&mut self, client: &Client, batch: &[Ended]) {
        let mut waits = AGAIN_AFTER.into_iter();
        let failure = loop {
            match post(client, &self.url, &self.resource, batch).await {
                Ok(()) => {
                    self.counts.exported.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(url = %self.url, "traces are exported again");
                    }
                    return;
                }
                Err(Failure::Final(reason)) => break reason,
                Err(Failure::Passing(reason)) => match waits.next() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => break reason,
                },
            }
        };
        self.counts.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(url = %self.url, %failure, "cannot export traces; spans are dropped until it works again");
        }
    }
}

async fn post(client: &Client, url: &str, resource: &Resource, spans: &[Ended]) -> Result<(), Failure> {
    let body = otlp::request(resource, spans);
    let request = client.post(url).header(CONTENT_TYPE, "application/x-protobuf").body(body);
    let response = request.send().await.map_err(|error| match error.is_builder() {
        true => Failure::Final(error.to_string()),
        false => Failure::Passing(error.to_string()),
    })?;
    // The answer of a receiver that took them says nothing; it is not read.
    match response.status() {
        status if status.is_success() => Ok(()),
        status if is_passing(status) => Err(Failure::Passing(format!("the receiver answers {status}"))),
        status => Err(Failure::Final(format!("the receiver answers {status}"))),
    }
}

/// Those of which OTLP says that the request may be sent again.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn client(headers: HeaderMap) -> reqwest::Result<Client> {
    // reqwest panics when there is none. Losing a race for it is fine: then there is one.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    Client::builder().default_headers(headers).timeout(ANSWER_WITHIN).redirect(Policy::none()).referer(false).build()
}
