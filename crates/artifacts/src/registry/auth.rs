//! Answering a challenge: which credentials, and the token they are exchanged for.
//!
//! Nothing is shown before it is asked for. Invariant: user and password travel over TLS, or to a registry that was
//! allowed to do without.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, Url};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::challenge::{self, Challenge};
use super::error::RegistryError;
use super::inner::Inner;
use super::target::{Access, Target};
use crate::credentials::{self, CredentialBook, CredentialError, Credentials, Secret};
use crate::reference::authority;

/// Longest answer of a token service, bytes.
const MAX_TOKEN_ANSWER: u64 = 64 << 10;
/// Authorizations remembered; beyond that all are forgotten and asked for anew.
const MAX_REMEMBERED: usize = 1024;
/// What we are called where a token service wants to know.
const CLIENT_ID: &str = "wash";

type Key = (String, String, Access);

pub(super) struct Auth {
    docker_config: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    book: CredentialBook,
    /// What was accepted last.
    authorizations: HashMap<Key, HeaderValue>,
    /// As whom we came last, for messages.
    users: HashMap<String, Option<String>>,
    /// Why we came as nobody although somebody is configured; told when that was not enough.
    lookups: HashMap<String, CredentialError>,
}

impl Auth {
    pub(super) fn new(book: CredentialBook, docker_config: bool) -> Self {
        Self { docker_config, state: Mutex::new(State { book, ..State::default() }) }
    }

    pub(super) fn set(&self, registry: &str, credentials: Credentials) {
        let mut state = self.state();
        state.book.set(registry, credentials);
        let registry = authority(registry);
        state.authorizations.retain(|(of, ..), _| authority(of) != registry);
    }

    pub(super) fn known(&self, target: &Target<'_>) -> Option<HeaderValue> {
        self.state().authorizations.get(&key(target)).cloned()
    }

    pub(super) fn forget(&self, target: &Target<'_>) {
        self.state().authorizations.remove(&key(target));
    }

    pub(super) fn user(&self, registry: &str) -> Option<String> {
        self.state().users.get(registry).cloned().flatten()
    }

    /// Why there were no credentials for this registry, once.
    pub(super) fn failed_lookup(&self, registry: &str) -> Option<CredentialError> {
        self.state().lookups.remove(registry)
    }

    fn remember(&self, target: &Target<'_>, authorization: &HeaderValue) {
        let mut state = self.state();
        if state.authorizations.len() >= MAX_REMEMBERED {
            state.authorizations.clear();
        }
        state.authorizations.insert(key(target), authorization.clone());
    }

    // Nothing in there is left half done by a panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(target: &Target<'_>) -> Key {
    (target.registry.to_owned(), target.repository.to_owned(), target.access)
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
}

/// What was shown in one exchange, so that nothing is shown twice.
#[derive(Default)]
pub(super) struct Tried {
    token: bool,
    basic: bool,
}

impl Tried {
    /// Whether this is new, and not any more from now on.
    fn begin(&mut self, challenge: &Challenge) -> bool {
        let tried = match challenge {
            Challenge::Token { .. } => &mut self.token,
            Challenge::Basic => &mut self.basic,
        };
        !std::mem::replace(tried, true)
    }

    fn anything(&self) -> bool {
        self.token || self.basic
    }
}

/// What to do after a refusal.
pub(super) enum Next {
    /// Ask again and show this.
    Show(HeaderValue),
    /// There is nothing else to show: the refusal is the answer.
    Refused(Response),
}

impl Inner {
    /// What to show after the refusal `response`: the first thing it asks for that was not shown yet.
    pub(super) async fn authorize(
        &self,
        target: &Target<'_>,
        response: Response,
        tried: &mut Tried,
    ) -> Result<Next, RegistryError> {
        self.auth.forget(target);
        let values = response.headers().get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
        let challenges = match challenge::read(values) {
            Ok(challenges) => challenges,
            Err(_) if tried.anything() => return Ok(Next::Refused(response)),
            Err(reason) => return Err(self.unanswerable(target.registry, reason.to_string())),
        };
        let mut failed = None;
        for challenge in challenges {
            if !tried.begin(&challenge) {
                continue;
            }
            match self.answer(target, challenge).await {
                Ok(Some(authorization)) => {
                    self.auth.remember(target, &authorization);
                    return Ok(Next::Show(authorization));
                }
                Ok(None) => {}
                // A token service that gives us none is no reason not to try what else is asked for.
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Next::Refused(response)),
        }
    }

    /// The answer to one challenge, if we have what it takes.
    async fn answer(&self, target: &Target<'_>, challenge: Challenge) -> Result<Option<HeaderValue>, RegistryError> {
        let registry = target.registry;
        let credentials = match (self.credentials(target).await, &challenge) {
            (Ok(credentials), _) => credentials,
            // Tokens are given to anybody for what is public, and a helper that went missing must not take that away.
            (Err(error), Challenge::Token { .. }) => {
                tracing::warn!(%error, registry, "the registry is asked without credentials");
                self.auth.state().lookups.insert(registry.to_owned(), error);
                Credentials::Anonymous
            }
            (Err(source), Challenge::Basic) => {
                return Err(RegistryError::Credentials { registry: registry.to_owned(), source });
            }
        };
        let authorization = match (challenge, &credentials) {
            (_, Credentials::Bearer(token)) => header("Bearer", token.reveal()),
            (Challenge::Basic, Credentials::Basic { user, password }) => basic(user, password),
            (Challenge::Basic, Credentials::Anonymous | Credentials::Identity(_)) => return Ok(None),
            (Challenge::Token { realm, service, scope }, credentials) => {
                let token = self.token(target, realm, service, scope, credentials).await?;
                header("Bearer", token.reveal())
            }
        };
        let unsendable = "the credentials or the token have characters that cannot be sent";
        authorization.ok_or_else(|| self.unanswerable(registry, unsendable.to_owned())).map(Some)
    }

    async fn credentials(&self, target: &Target<'_>) -> Result<Credentials, CredentialError> {
        let registry = target.registry;
        let set = self.auth.state().book.get(registry).cloned();
        let found = match set {
            Some(credentials) => Ok(credentials),
            None if self.auth.docker_config => {
                credentials::from_docker(registry, target.repository, self.options.timeouts.helper).await
            }
            None => Ok(Credentials::Anonymous),
        };
        let user = found.as_ref().ok().and_then(Credentials::user).map(str::to_owned);
        let mut state = self.auth.state();
        state.users.insert(registry.to_owned(), user);
        state.lookups.remove(registry);
        found
    }

    async fn token(
        &self,
        target: &Target<'_>,
        realm: Url,
        service: Option<String>,
        scope: Option<String>,
        credentials: &Credentials,
    ) -> Result<Secret, RegistryError> {
        let challenge = |reason: String| RegistryError::Challenge { registry: target.registry.to_owned(), reason };
        if realm.scheme() != "https" && (realm.scheme() != "http" || self.scheme(target.registry) != "http") {
            return Err(challenge(format!(
                "its tokens are had at `{}`, without TLS",
                realm.origin().ascii_serialization()
            )));
        }
        // What is pushed first is only looked for, and a registry may ask for no more than that takes. Whether a registry
        // takes our credentials at all is no question of what may be done with a repository, whatever it names.
        let scope = scope.filter(|_| target.access == Access::Pull).or_else(|| wanted_scope(target));
        let request = self.token_request(realm, service, scope, credentials)?;
        let after = self.options.timeouts.small_answer;
        let answer = async {
            let response = request.send().await.map_err(|error| self.failed(error, target.registry))?;
            let response = self.check(target, response, "a token").await?;
            self.read_bounded(target, response, MAX_TOKEN_ANSWER, "the answer of the token service").await
        };
        let timeout = |_| RegistryError::Timeout { registry: target.registry.to_owned(), after };
        let answer = tokio::time::timeout(after, answer).await.map_err(timeout)??;
        let answer: Option<TokenAnswer> = serde_json::from_slice(&answer).ok();
        let token = answer.and_then(|answer| answer.token.or(answer.access_token));
        token
            .filter(|token| !token.reveal().is_empty())
            .ok_or_else(|| challenge("its token service gives no token".to_owned()))
    }

    fn token_request(
        &self,
        mut realm: Url,
        service: Option<String>,
        scope: Option<String>,
        credentials: &Credentials,
    ) -> Result<reqwest::RequestBuilder, RegistryError> {
        let client = self.transport.client(&realm)?;
        let mut questions = Vec::new();
        questions.extend(service.map(|service| ("service", service)));
        questions.extend(scope.map(|scope| ("scope", scope)));
        if let Credentials::Identity(token) = credentials {
            let mut form = reqwest::Url::parse("form:?").expect("a constant");
            form.query_pairs_mut()
                .extend_pairs(&questions)
                .append_pair("grant_type", "refresh_token")
                .append_pair("client_id", CLIENT_ID)
                .append_pair("refresh_token", token.reveal());
            let body = form.query().unwrap_or_default().to_owned();
            let form_type = "application/x-www-form-urlencoded";
            return Ok(client.request(Method::POST, realm).header(CONTENT_TYPE, form_type).body(body));
        }
        if !questions.is_empty() {
            realm.query_pairs_mut().extend_pairs(&questions);
        }
        let request = client.get(realm);
        Ok(match credentials {
            Credentials::Basic { user, password } => match basic(user, password) {
                Some(header) => request.header(AUTHORIZATION, header),
                None => request,
            },
            _ => request,
        })
    }

    fn unanswerable(&self, registry: &str, reason: String) -> RegistryError {
        RegistryError::Challenge { registry: registry.to_owned(), reason }
    }
}

fn wanted_scope(target: &Target<'_>) -> Option<String> {
    let repository = target.repository;
    match target.access {
        Access::Ping => None,
        Access::Pull => Some(format!("repository:{repository}:pull")),
        Access::Push => Some(format!("repository:{repository}:pull,push")),
    }
}

fn basic(user: &str, password: &Secret) -> Option<HeaderValue> {
    let pair = Zeroizing::new(format!("{user}:{}", password.reveal()));
    header("Basic", &Zeroizing::new(BASE64.encode(pair.as_bytes())))
}

fn header(scheme: &str, value: &str) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("{scheme} {value}"));
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorizations_do_not_pile_up() {
        let auth = Auth::new(CredentialBook::new(), false);
        let header = HeaderValue::from_static("Bearer x");
        for at in 0..=MAX_REMEMBERED {
            let repository = at.to_string();
            auth.remember(
                &Target { registry: "registry.test", repository: &repository, access: Access::Pull },
                &header,
            );
            assert!(auth.state().authorizations.len() <= MAX_REMEMBERED);
        }
        let last = MAX_REMEMBERED.to_string();
        let last = Target { registry: "registry.test", repository: &last, access: Access::Pull };
        assert_eq!(auth.known(&last), Some(header));
        auth.set("https://registry.test", Credentials::Anonymous);
        assert_eq!(auth.known(&last), None, "other credentials, other authorizations");
    }

    #[test]
    fn what_is_shown_does_not_print() {
        let shown = basic("ada", &"hunter2".into()).expect("sendable");
        assert!(format!("{shown:?}") == "Sensitive", "{shown:?}");
        assert_eq!(header("Bearer", "a\nb"), None);
    }
}
