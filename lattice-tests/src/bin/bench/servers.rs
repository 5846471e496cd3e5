//! The other half of each baseline: servers that do nothing but answer, and `wasmtime serve`.
//!
//! Each in a process of its own, like the hosts it is compared with. Knows nothing of what is measured.

use std::{convert::Infallible, ffi::OsString, net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lattice_tests::{Guarded, free_address, get};
use tokio::net::TcpListener;

/// Serves NATS requests until the process ends; each is answered in a task of its own, as hosts do.
pub async fn answer_nats(url: &str, subject: &str) -> Result<()> {
    let client = async_nats::connect(url).await.context("cannot connect to NATS")?;
    let mut requests = client.queue_subscribe(subject.to_owned(), subject.to_owned()).await?;
    while let Some(request) = requests.next().await {
        let Some(reply) = request.reply else { continue };
        let client = client.clone();
        tokio::spawn(async move {
            // Fails only when the connection has ended, and then nobody waits.
            client.publish(reply, request.payload).await.ok();
        });
    }
    Ok(())
}

/// Serves HTTP until the process ends, with nothing but hyper.
pub async fn answer_http(address: SocketAddr, body: &str) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on `{address}`"))?;
    let body = Bytes::from(body.to_owned());
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        tokio::spawn(async move {
            let service = service_fn(move |_request| {
                let response = http::Response::builder().header("content-type", "text/plain; charset=utf-8");
                let response = response.body(Full::new(body.clone())).expect("a constant header is valid");
                std::future::ready(Ok::<_, Infallible>(response))
            });
            // A connection ends with an error whenever the load is done with it.
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

/// A server process and where it listens.
pub struct HttpServer {
    /// Where it listens.
    pub address: SocketAddr,
    _process: Arc<Guarded>,
}

impl HttpServer {
    /// This program as [`answer_http`]; answers when this returns.
    pub async fn bare_hyper(body: &str, dir: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("the path of this program")?;
        let address = free_address();
        let args = ["answer-http".into(), address.to_string().into(), body.into()];
        Ok(Self::start(&program, &args, address, &dir.join("hyper.log")).await)
    }

    /// `wasmtime serve` for a component; answers when this returns.
    pub async fn wasmtime(program: &Path, options: &[&str], component: &Path, log: &Path) -> Self {
        let address = free_address();
        let mut args: Vec<OsString> = ["serve", "-S", "cli", "--addr"].map(Into::into).into();
        args.push(address.to_string().into());
        args.extend(options.iter().map(Into::into));
        args.push(component.into());
        Self::start(program, &args, address, log).await
    }

    async fn start(program: &Path, args: &[OsString], address: SocketAddr, log: &Path) -> Self {
        let process = Guarded::start(program, args, &[], log);
        get(address, "/").await;
        Self { address, _process: Arc::new(process) }
    }
}
