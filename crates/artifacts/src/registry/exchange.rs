//! One request and its answer: credentials when they are asked for, redirects, and what a status means.
//!
//! Every body that is read here is bounded.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::{Next, Tried};
use super::error::RegistryError;
use super::inner::Inner;
use super::redirect::Way;
use super::target::Target;
use crate::reference::api_authority;
use crate::text::excerpt;

/// Longest body of a failure looked at, bytes.
const MAX_FAILURE: u64 = 8 << 10;
/// How long what a registry says about a refusal is listened to, however slowly it comes.
const FAILURE_WITHIN: Duration = Duration::from_secs(5);

/// A request.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

impl Ask {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None }
    }

    pub(super) fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    pub(super) fn header(mut self, name: reqwest::header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn content(mut self, media_type: &'static str, body: Bytes) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.body = Some(body);
        self
    }
}

impl Inner {
    /// The address of `path` in the interface of a registry.
    pub(super) fn url(&self, registry: &str, path: &str) -> Result<Url, RegistryError> {
        let authority = api_authority(registry);
        let text = format!("{}://{authority}/v2/{path}", self.scheme(registry));
        Url::parse(&text).map_err(|_| RegistryError::NotARegistry { registry: excerpt(registry) })
    }

    pub(super) fn scheme(&self, registry: &str) -> &'static str {
        if self.insecure.iter().any(|insecure| *insecure == crate::reference::authority(registry)) {
            "http"
        } else {
            "https"
        }
    }

    /// As [`Inner::once`], again and again while the registry is away.
    pub(super) async fn answered(&self, target: &Target<'_>, ask: &Ask, what: &str) -> Result<Response, RegistryError> {
        let mut retry = self.retry();
        loop {
            match self.once(target, ask, what).await {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Asks, with credentials if they are asked for. `what` is what a refusal is about.
    pub(super) async fn once(&self, target: &Target<'_>, ask: &Ask, what: &str) -> Result<Response, RegistryError> {
        let mut authorization = self.auth.known(target);
        let mut tried = Tried::default();
        loop {
            let (response, at_home) = self.follow(target, ask, authorization.as_ref()).await?;
            if response.status() != StatusCode::UNAUTHORIZED || !at_home {
                return self.check(target, response, what).await;
            }
            match self.authorize(target, response, &mut tried).await? {
                Next::Show(next) => authorization = Some(next),
                Next::Refused(response) => return self.check(target, response, what).await,
            }
        }
    }

    async fn follow(
        &self,
        target: &Target<'_>,
        ask: &Ask,
        authorization: Option<&HeaderValue>,
    ) -> Result<(Response, bool), RegistryError> {
        let mut way = Way::new(target.registry, ask.url.clone());
        loop {
            let client = self.transport.client(way.here())?;
            let mut request = client.request(ask.method.clone(), way.here().clone()).headers(ask.headers.clone());
            if let Some(authorization) = authorization.filter(|_| way.is_home()) {
                request = request.header(AUTHORIZATION, authorization);
            }
            if let Some(body) = &ask.body {
                request = request.body(body.clone());
            }
            let response = self.within_idle(target.registry, request.send()).await?;
            let response = response.map_err(|error| self.failed(error, target.registry))?;
            let follows = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
                && matches!(ask.method, Method::GET | Method::HEAD);
            if !follows {
                return Ok((response, way.is_home()));
            }
            way.follow(response.status().as_u16(), response.headers())?;
        }
    }

    pub(super) fn failed(&self, error: reqwest::Error, registry: &str) -> RegistryError {
        let timeouts = self.options.timeouts;
        let after = if error.is_connect() { timeouts.connect } else { timeouts.idle };
        RegistryError::from_request(error, registry, after)
    }

    /// Waits as long as nothing may happen.
    pub(super) async fn within_idle<T>(
        &self,
        registry: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, RegistryError> {
        let after = self.options.timeouts.idle;
        let timeout = |_| RegistryError::Timeout { registry: registry.to_owned(), after };
        tokio::time::timeout(after, work).await.map_err(timeout)
    }

    /// Turns a refusal into its error.
    pub(super) async fn check(
        &self,
        target: &Target<'_>,
        response: Response,
        what: &str,
    ) -> Result<Response, RegistryError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (registry, what) = (target.registry.to_owned(), what.to_owned());
        let retry_after = retry_after(response.headers());
        let said = said(response).await;
        if status == StatusCode::UNAUTHORIZED {
            self.auth.forget(target);
        }
        // Registries say any of these to whom they do not know.
        if matches!(status.as_u16(), 401 | 403 | 404)
            && let Some(source) = self.auth.failed_lookup(&registry)
        {
            return Err(RegistryError::Credentials { registry, source });
        }
        Err(match status.as_u16() {
            401 => {
                let user = self.auth.user(&registry);
                RegistryError::Unauthorized { registry, user, said }
            }
            403 => RegistryError::Forbidden { registry, what, said },
            404 => RegistryError::NotFound { registry, what, said },
            429 => RegistryError::TooManyRequests { registry, retry_after, said },
            status @ 500..=599 => RegistryError::Server { registry, status, retry_after, said },
            status => RegistryError::Unexpected { registry, status, said },
        })
    }

    /// Reads a body that has at most `limit` bytes.
    pub(super) async fn read_bounded(
        &self,
        target: &Target<'_>,
        mut response: Response,
        limit: u64,
        what: &str,
    ) -> Result<Bytes, RegistryError> {
        let too_large = || RegistryError::TooLarge { what: what.to_owned(), limit };
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            match self.within_idle(target.registry, response.chunk()).await? {
                Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 > limit => return Err(too_large()),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.into()),
                Err(_) => return Err(RegistryError::CutShort { what: what.to_owned(), received: body.len() as u64 }),
            }
        }
    }
}

#[derive(Deserialize)]
struct Failures {
    errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says about a refusal: the first error of the protocol's list, or the beginning of the text.
async fn said(mut response: Response) -> String {
    let mut body = Vec::new();
    let until = tokio::time::Instant::now() + FAILURE_WITHIN;
    while (body.len() as u64) < MAX_FAILURE
        && let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(until, response.chunk()).await
    {
        let room = MAX_FAILURE as usize - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    let first = serde_json::from_slice::<Failures>(&body).ok().and_then(|list| list.errors.into_iter().next());
    match first {
        Some(Failure { code, message }) if message.is_empty() => excerpt(&code),
        Some(Failure { message, .. }) => excerpt(&message),
        None => {
            let text = String::from_utf8_lossy(&body);
            let text = text.trim();
            // Pages are for browsers.
            if text.starts_with('<') || text.contains('\u{FFFD}') { String::new() } else { excerpt(text) }
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u32 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}
