//! Every operation of the control interface with its types.
//!
//! Owns which message goes to which subject; [`super::control`] moves it. The host named in the call is also written
//! into the message, as every client does.

use claims::{ActorId, HostId, PublicKey};

use super::{
    ControlClient, ControlError, EventStream, Gathered,
    control::{Until, undecodable},
};
use crate::{
    ContractId, Link, LinkName,
    control::{
        Ack, ActorBid, AskWhy, AuctionActor, AuctionProvider, ClaimsReply, ClaimsRow, ConfigValue, ConfigValues,
        DeleteLabel, DeleteLink, GetClaims, GetLinks, GetRevocations, HostInventory, HostSummary, LinksReply,
        ProviderBid, PutLabel, PutRevocations, RegistryCredentials, RevocationsReply, ScaleActor, SignedList,
        StartProvider, StopActor, StopHost, StopProvider, UpdateActor, WhyReply, encode,
    },
    subject::{ConfigKey, ControlSubject as Subject, HostCommand as Command},
};

/// Pages of one answer that are read at most.
const MAX_PAGES: usize = 512;

impl ControlClient {
    /// Every host of the lattice.
    ///
    /// # Errors
    /// [`ControlError::NoHost`] when none answered; otherwise as every operation, [`ControlError`].
    pub async fn hosts(&self) -> Result<Gathered<HostSummary>, ControlError> {
        let gathered = self.gather(&Subject::PingHosts, Vec::new(), Until::Complete).await?;
        if gathered.replies.is_empty() && gathered.problems.is_empty() {
            let lattice = self.root.lattice().clone();
            return Err(ControlError::NoHost { lattice, waited: Some(self.timeout) });
        }
        Ok(gathered)
    }

    /// What a host runs.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn inventory(&self, host: &HostId) -> Result<HostInventory, ControlError> {
        self.query(&Subject::GetInventory(*host)).await
    }

    /// What a host knows of something that does not work. Hosts of others do not serve this.
    ///
    /// # Errors
    /// [`ControlError`]; [`ControlError::HostAbsent`] also for a host that is there and does not know the question.
    pub async fn why(&self, host: &HostId, question: &AskWhy) -> Result<WhyReply, ControlError> {
        self.ask(&Subject::AskWhy(*host), encode(question)).await
    }

    /// What the lattice knows of signed artifacts.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn claims(&self) -> Result<Vec<ClaimsRow>, ControlError> {
        let mut page: ClaimsReply = self.query(&Subject::GetClaims).await?;
        let mut rows = std::mem::take(&mut page.claims);
        for _ in 0..MAX_PAGES {
            let Some(more) = page.more.take() else { return Ok(rows) };
            page = self.ask(&Subject::GetClaims, encode(&GetClaims { after: Some(more) })).await?;
            rows.append(&mut page.claims);
        }
        Err(undecodable(&Subject::GetClaims, format!("more than {MAX_PAGES} pages")))
    }

    /// The links of the lattice.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn links(&self) -> Result<LinksReply, ControlError> {
        let mut all: LinksReply = self.query(&Subject::GetLinks).await?;
        for _ in 0..MAX_PAGES {
            let Some(more) = all.more.take() else { return Ok(all) };
            let mut page: LinksReply = self.ask(&Subject::GetLinks, encode(&GetLinks { after: Some(more) })).await?;
            all.links.append(&mut page.links);
            all.unreadable.append(&mut page.unreadable);
            all.more = page.more;
        }
        Err(undecodable(&Subject::GetLinks, format!("more than {MAX_PAGES} pages")))
    }

    /// Adds a link. It is stored when this returns; whether a provider serves it is told by events.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn put_link(&self, link: &Link) -> Result<(), ControlError> {
        self.command(&Subject::PutLink, encode(link)).await
    }

    /// Removes a link; that there was none is no error.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn delete_link(
        &self,
        actor: &ActorId,
        contract: &ContractId,
        link_name: &LinkName,
    ) -> Result<(), ControlError> {
        let request = DeleteLink { actor_id: *actor, contract_id: contract.clone(), link_name: link_name.clone() };
        self.command(&Subject::DeleteLink, encode(&request)).await
    }

    /// Which hosts can run an actor. Takes the whole timeout unless all hosts bid: a host that declines is silent.
    ///
    /// # Errors
    /// [`ControlError`]; that nobody bids is none.
    pub async fn auction_actor(&self, auction: &AuctionActor) -> Result<Gathered<ActorBid>, ControlError> {
        self.gather(&Subject::AuctionActor, encode(auction), Until::Complete).await
    }

    /// The first host that can run an actor, `None` when no host bids within the timeout.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn first_actor_bid(&self, auction: &AuctionActor) -> Result<Option<ActorBid>, ControlError> {
        let gathered = self.gather(&Subject::AuctionActor, encode(auction), Until::First).await?;
        Ok(gathered.replies.into_iter().next())
    }

    /// Which hosts can run a provider. Takes the whole timeout unless all hosts bid: a host that declines is silent.
    ///
    /// # Errors
    /// [`ControlError`]; that nobody bids is none.
    pub async fn auction_provider(&self, auction: &AuctionProvider) -> Result<Gathered<ProviderBid>, ControlError> {
        self.gather(&Subject::AuctionProvider, encode(auction), Until::Complete).await
    }

    /// The first host that can run a provider, `None` when no host bids within the timeout.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn first_provider_bid(&self, auction: &AuctionProvider) -> Result<Option<ProviderBid>, ControlError> {
        let gathered = self.gather(&Subject::AuctionProvider, encode(auction), Until::First).await?;
        Ok(gathered.replies.into_iter().next())
    }

    /// Sets how many instances of an actor may run. The outcome is told by events.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn scale_actor(&self, host: &HostId, request: &ScaleActor) -> Result<(), ControlError> {
        let request = ScaleActor { host_id: host.to_string(), ..request.clone() };
        self.command(&Subject::Command(*host, Command::ScaleActor), encode(&request)).await
    }

    /// Stops an actor. It has stopped when this returns.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn stop_actor(&self, host: &HostId, request: &StopActor) -> Result<(), ControlError> {
        let request = StopActor { host_id: host.to_string(), ..request.clone() };
        self.command(&Subject::Command(*host, Command::StopActor), encode(&request)).await
    }

    /// Replaces a running actor. The new version runs when this returns, so the timeout must allow for fetching it.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn update_actor(&self, host: &HostId, request: &UpdateActor) -> Result<(), ControlError> {
        let request = UpdateActor { host_id: host.to_string(), ..request.clone() };
        self.command(&Subject::Command(*host, Command::UpdateActor), encode(&request)).await
    }

    /// Starts a provider. The outcome is told by events.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn start_provider(&self, host: &HostId, request: &StartProvider) -> Result<(), ControlError> {
        let request = StartProvider { host_id: host.to_string(), ..request.clone() };
        self.command(&Subject::Command(*host, Command::StartProvider), encode(&request)).await
    }

    /// Stops a provider.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn stop_provider(&self, host: &HostId, request: &StopProvider) -> Result<(), ControlError> {
        let request = StopProvider { host_id: host.to_string(), ..request.clone() };
        self.command(&Subject::Command(*host, Command::StopProvider), encode(&request)).await
    }

    /// Tells a host to end. It has agreed when this returns, and is gone when its `host_stopped` event comes.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn stop_host(&self, host: &HostId, timeout_ms: Option<u64>) -> Result<(), ControlError> {
        let request = StopHost { host_id: host.to_string(), timeout_ms };
        self.command(&Subject::Command(*host, Command::StopHost), encode(&request)).await
    }

    /// Sets a label of a host.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn put_label(&self, host: &HostId, key: &str, value: &str) -> Result<(), ControlError> {
        let request = PutLabel { key: key.to_owned(), value: value.to_owned() };
        self.command(&Subject::PutLabel(*host), encode(&request)).await
    }

    /// Removes a label of a host.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn delete_label(&self, host: &HostId, key: &str) -> Result<(), ControlError> {
        self.command(&Subject::DeleteLabel(*host), encode(&DeleteLabel::new(key))).await
    }

    /// Gives every host of the lattice credentials of registries and waits for as many acks as there are hosts.
    ///
    /// # Errors
    /// [`ControlError::Refused`] with the words of the first host that refuses; otherwise [`ControlError`].
    pub async fn put_registries(&self, credentials: &RegistryCredentials) -> Result<(), ControlError> {
        let hosts = self.hosts().await?.replies.len();
        let (mut acks, mut refusal) = (0, None);
        self.each_reply(&Subject::PutRegistries, encode(credentials), |reply| {
            acks += 1;
            refusal = refusal.take().or_else(|| Ack::refusal_in(reply));
            acks >= hosts
        })
        .await?;
        refusal.map_or(Ok(()), |message| Err(ControlError::Refused { message }))
    }

    /// Sets one entry of the configuration of an actor or provider.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn put_config(&self, entity: &PublicKey, key: &str, value: &[u8]) -> Result<(), ControlError> {
        self.command(&Subject::PutConfig(config_key(entity, key)?), value.to_vec()).await
    }

    /// Removes one entry of the configuration of an actor or provider.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn delete_config(&self, entity: &PublicKey, key: &str) -> Result<(), ControlError> {
        self.command(&Subject::DeleteConfig(config_key(entity, key)?), Vec::new()).await
    }

    /// Removes all configuration of an actor or provider.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn clear_config(&self, entity: &PublicKey) -> Result<(), ControlError> {
        self.command(&Subject::ClearConfig(entity.to_string()), Vec::new()).await
    }

    /// Reads one entry of the configuration of an actor or provider, `None` when there is none.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn config(&self, entity: &PublicKey, key: &str) -> Result<Option<Vec<u8>>, ControlError> {
        let value: ConfigValue = self.query(&Subject::GetConfig(config_key(entity, key)?)).await?;
        Ok(value.found.then_some(value.data))
    }

    /// Reads all configuration of an actor or provider.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn all_config(&self, entity: &PublicKey) -> Result<ConfigValues, ControlError> {
        let subject = Subject::GetAllConfig(entity.to_string());
        let reply = self.request(&subject, Vec::new()).await?;
        ConfigValues::from_reply(&reply).map_err(|reason| undecodable(&subject, reason))
    }

    /// Gives the lattice a signed revocation list. It is in force on the host that answers, and on its way to the
    /// others, when this returns.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when the host does not trust its signer or knows a later list; [`ControlError::NoHost`]
    /// when only hosts of others are there, which have no revocation.
    pub async fn put_revocations(&self, token: &str) -> Result<(), ControlError> {
        self.command(&Subject::PutRevocations, encode(&PutRevocations { token: token.to_owned() })).await
    }

    /// The revocation lists in force, as one host of the lattice knows them. Nothing is verified here.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn revocations(&self) -> Result<Vec<SignedList>, ControlError> {
        let mut lists: Vec<SignedList> = Vec::new();
        let mut after = None;
        // Ends: each page begins behind the last, and there are only so many lists.
        for _ in 0..MAX_PAGES {
            let page: RevocationsReply =
                self.ask(&Subject::GetRevocations, encode(&GetRevocations { after: after.take() })).await?;
            lists.extend(page.lists);
            match page.more {
                Some(more) => after = Some(more),
                None => return Ok(lists),
            }
        }
        Err(undecodable(&Subject::GetRevocations, format!("more than {MAX_PAGES} pages")))
    }

    /// Everything that happens in the lattice from now on. The subscription is in effect when this returns: an event
    /// caused by what is asked for afterwards is not missed.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn events(&self) -> Result<EventStream, ControlError> {
        EventStream::open(&self.transport, self.root.lattice(), self.timeout).await
    }
}

/// A key is one token of the subject.
fn config_key(entity: &PublicKey, key: &str) -> Result<ConfigKey, ControlError> {
    if key.is_empty() || key.chars().any(|c| matches!(c, '.' | '*' | '>') || c.is_whitespace() || c.is_control()) {
        return Err(ControlError::Invalid {
            what: "configuration key",
            value: key.to_owned(),
            reason: "it must not be empty nor contain `.`, `*`, `>` or white space",
        });
    }
    Ok(ConfigKey { entity: entity.to_string(), key: key.to_owned() })
}
