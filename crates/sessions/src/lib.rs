//! Sessions with the other hosts: many calls under one pair of keys, and several hosts to choose from.
//!
//! The bytes are `lattice::session`'s; here are the two ends, and which host gets a call. What the protocol promises, to
//! whom and against whom, is `docs/sessions.md`. What has no session takes the signed way of the lattice protocol, which
//! is always there. Knows no actors, no providers and no runtime: a host is a [`ServeCall`], and the world around it an
//! [`Environment`], which is [`Nats`] but for tests. Invariants: a call is made again only when it was not begun; a host
//! that is full is passed over while another has room; nothing here waits for a broker that is known to be away.

mod ask;
mod batch_writer;
mod budget;
mod context;
mod environment;
mod gate;
mod held;
mod link;
mod nats;
mod outgoing;
mod questions;
mod queue;
mod receiver;
mod route;
mod routing;
mod seen;
mod serve_call;
mod serving;
mod sessions;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::receiver::Subscriptions;
pub use self::{
    budget::{Budget, Budgets, Rate},
    context::Member,
    environment::{AskError, Environment, OutMessage, Task},
    nats::Nats,
    route::Route,
    routing::Wish,
    serve_call::{Failed, ServeCall},
    sessions::Sessions,
};

impl<E: Environment> Sessions<E> {
    /// Begins to serve, once; returns when the subscriptions are made.
    pub async fn open<H: ServeCall>(self: &Arc<Self>, host: &Arc<H>) {
        match Subscriptions::make(&self.context).await {
            Ok(subscriptions) => {
                let serving = subscriptions.serve(host.clone(), self.clone());
                let ended = self.ended.get_or_init(CancellationToken::new).clone();
                self.context.env.spawn_apart(async move {
                    let _ended = ended.drop_guard();
                    serving.await;
                });
            }
            Err(error) => tracing::error!(%error, "cannot serve sessions; calls are signed one by one"),
        }
    }
}
