//! The control interface over NATS: one task per subscription of the protocol's table (section 3.2).

use std::{sync::Arc, time::Duration};

use async_nats::{Client, Message};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use lattice::{
    client::Inbox,
    subject::{ControlSubject, Subscription},
};

use super::dispatch::dispatch;
use crate::control::face::Control;

/// Requests of one subscription that are answered at the same time: more than the store lets strangers wait, so that
/// theirs do not keep others out.
const AT_ONCE: usize = 512;
/// For a client that is busy with a broker which is away.
const LEAVE: Duration = Duration::from_secs(1);

/// Subscribes; needs no broker yet.
///
/// # Errors
/// When the client has ended.
pub async fn subscribe(client: &Client, subscription: Subscription) -> Result<Inbox, async_nats::SubscribeError> {
    let requests = match subscription.queue_group {
        Some(group) => client.queue_subscribe(subscription.subject, group).await,
        None => client.subscribe(subscription.subject).await,
    };
    Ok(Inbox::new("control", requests?))
}

/// Serves one subscription until the host stops. Replies are sent as soon as they are known; requests are *begun* in
/// the order they came, which is what keeps commands in order.
pub async fn serve(control: Arc<Control>, client: Client, mut requests: Inbox) {
    let mut answering = FuturesUnordered::new();
    loop {
        let takes = answering.len() < AT_ONCE;
        tokio::select! {
            biased;
            () = control.life.stop.cancelled() => break,
            Some(()) = answering.next(), if !answering.is_empty() => {}
            request = requests.next_when(takes) => match request {
                Some(request) => {
                    let mut answer = Box::pin(answer(control.clone(), client.clone(), request));
                    // Polled once here so that commands take their place in line in the order they came.
                    if (&mut answer).now_or_never().is_none() {
                        answering.push(answer);
                    }
                }
                None => break,
            },
        }
    }
    // Said here and now: when it is dropped, the client says so some time later.
    tokio::time::timeout(LEAVE, requests.subscription().unsubscribe()).await.ok();
    while answering.next().await.is_some() {}
}

async fn answer(control: Arc<Control>, client: Client, request: Message) {
    let reply = dispatch(&control, &request.subject, &request.payload).await;
    let (Some(subject), Some(body)) = (request.reply, reply) else { return };
    let published = if tells_of_this_host(&control, &request.subject) {
        let word = control.identity.word(&body);
        client.publish_with_headers(subject, word, body.into()).await
    } else {
        client.publish(subject, body.into()).await
    };
    if let Err(error) = published {
        tracing::warn!(%error, "cannot answer a control request");
    }
}

/// Whether the answer is one that other hosts believe only with the word of our key.
fn tells_of_this_host(control: &Control, subject: &str) -> bool {
    let asked = ControlSubject::parse(&control.root, subject);
    matches!(asked, Ok(ControlSubject::PingHosts | ControlSubject::GetInventory(_)))
}
