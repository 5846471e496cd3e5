//! `wash claims revoke` and `unrevoke`: take trust back, and give it again.
//!
//! Reads the signer's list, changes it, signs it with the next number and hands it to the lattice. What is named twice,
//! or was revoked before, does no harm.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::Path,
};

use bytes::Bytes;
use claims::{
    AccountId, KeyPair, archive,
    revocation::{Entry, RevocationList, Revoked, Sha256, SignedRevocations, Signer},
    wasm,
};
use clap::{Args, ValueEnum};
use lattice::client::ControlError;

use crate::{
    context::Context,
    keys::{
        keystore,
        signing::{cluster_key, now},
    },
    lattice::{
        connection::ConnectionArgs,
        revocations::{explain, in_force, with, without},
        view::Lattice,
    },
    machine::given_file,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// What can be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Everything an account has signed
    #[value(alias = "account")]
    Issuer,
    /// An actor
    #[value(alias = "module")]
    Actor,
    /// A provider
    #[value(alias = "service")]
    Provider,
    /// A program: given as a file, whatever it is packed in and whoever signs it; given as `sha256:…`, what has that digest
    Digest,
}

/// What both commands need to know.
#[derive(Debug, Args)]
struct TargetArgs {
    /// What is meant
    #[arg(value_enum)]
    kind: Kind,
    /// Which: id, beginning of one, or name; for a digest `sha256:…` or a file
    #[arg(required = true, value_name = "ID")]
    ids: Vec<OsString>,
    /// Key that signs: a seed, or a file that holds one. An account can revoke only itself and what it signed
    /// [default: the cluster key of `wash up`]
    #[arg(long, env = "WASH_REVOCATION_KEY", value_name = "SEED|FILE", hide_env_values = true)]
    signer: Option<OsString>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Options of `wash claims revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Why, for whoever meets it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
}

/// Options of `wash claims unrevoke`.
#[derive(Debug, Args)]
pub struct UnrevokeArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Runs `wash claims revoke`.
///
/// # Errors
/// There is no key to sign with, an id means nothing or too much, or the lattice does not take the list.
pub async fn revoke(args: &RevokeArgs, context: &Context) -> Result<Output> {
    let change = Change::prepare(&args.target, context).await?;
    let since = now();
    let entry = |revoked| Entry { revoked, reason: args.reason.clone(), since };
    let added: Vec<Entry> = change.revoked.iter().copied().map(entry).collect();
    let lists = in_force(&change.lattice, &context.printer).await?;
    let Some(list) = with(&lists, change.signer, &change.lattice.connection.lattice, &added)? else {
        return Ok(change.done("Revoked already, by the same signer:", None));
    };
    change.publish(&list).await?;
    Ok(change.done("Revoked; hosts stop it and start it no more:", Some(list.number)))
}

/// Runs `wash claims unrevoke`.
///
/// # Errors
/// As [`revoke`], or the signer has not revoked it.
pub async fn unrevoke(args: &UnrevokeArgs, context: &Context) -> Result<Output> {
    let mut change = Change::prepare(&args.target, context).await?;
    let lists = in_force(&change.lattice, &context.printer).await?;
    change.keep_what_is_revoked(&lists);
    let list = without(&lists, change.signer, &change.lattice.connection.lattice, &change.revoked)?;
    change.publish(&list).await?;
    Ok(change.done("No longer revoked; what was stopped has to be started again:", Some(list.number)))
}

/// A change of what is revoked, with everything it takes.
struct Change<'a> {
    key: KeyPair,
    signer: Signer,
    lattice: Lattice<'a>,
    revoked: Vec<Revoked>,
}

impl<'a> Change<'a> {
    async fn prepare(args: &TargetArgs, context: &'a Context) -> Result<Self> {
        let connection = args.connection.resolve(context)?;
        // Before anybody is asked: without a key there is nothing to ask for.
        let key = match &args.signer {
            Some(given) => keystore::from_anywhere(Some(given))?,
            None => cluster_key(None, connection.cluster_seed.as_deref(), "revocation list", context)
                .map_err(|failure| failure.hint("name a trusted cluster key, or your account key, with `--signer`"))?,
        };
        let signer =
            Signer::try_from(key.public()).while_doing(|| "the given key cannot sign revocations".to_owned()).hint(
                || "use a cluster key that the hosts trust, or the account key that signed the artifacts".to_owned(),
            )?;
        let lattice = Lattice::reach(connection, context).await?;
        let mut revoked = Vec::new();
        for id in &args.ids {
            for one in find(&lattice, args.kind, id).await? {
                if !revoked.contains(&one) {
                    revoked.push(one);
                }
            }
        }
        let change = Self { key, signer, lattice, revoked };
        change.check_authority().await?;
        Ok(change)
    }

    /// An account that names what it did not sign would be taken and have no effect.
    async fn check_authority(&self) -> Result<()> {
        let Signer::Account(account) = self.signer else { return Ok(()) };
        let issuers = issuers(&self.lattice).await;
        for revoked in &self.revoked {
            let id = revoked.to_string();
            let by_other = match revoked {
                Revoked::Issuer(issuer) => *issuer != account,
                _ => issuers.iter().any(|(subject, issuer)| *subject == id && *issuer != account),
            };
            if by_other {
                return Err(Failure::new(format!("account `{account}` cannot revoke {} `{id}`", revoked.kind()))
                    .cause("an account revokes itself and what it has signed")
                    .hint("sign with a cluster key that the hosts trust: leave out `--signer`, or name one"));
            }
        }
        Ok(())
    }

    /// A file is named by several digests, and not all of them need be revoked.
    fn keep_what_is_revoked(&mut self, lists: &[SignedRevocations]) {
        let own = lists.iter().filter(|list| list.signer == self.signer).flat_map(|list| &list.list.entries);
        let own: Vec<Revoked> = own.map(|entry| entry.revoked).collect();
        let is_digest = |revoked: &Revoked| matches!(revoked, Revoked::Digest(_));
        if self.revoked.iter().any(|revoked| is_digest(revoked) && own.contains(revoked)) {
            self.revoked.retain(|revoked| !is_digest(revoked) || own.contains(revoked));
        }
    }

    async fn publish(&self, list: &RevocationList) -> Result<()> {
        let token = list.sign(&self.key, now()).while_doing(|| "cannot sign the revocation list".to_owned())?;
        let lattice = &self.lattice.connection.lattice;
        self.lattice.reached.control.put_revocations(&token).await.map_err(|error| match error {
            kept @ ControlError::KeptHere { .. } => Failure::from(kept)
                .while_doing("the list is in force on one host, and the others go on running what it names"),
            error => explain(error).while_doing(format!("lattice `{lattice}` does not take the revocation list")),
        })
    }

    fn done(&self, sentence: &str, number: Option<u64>) -> Output {
        let mut text = sentence.to_owned();
        for revoked in &self.revoked {
            text.push_str(&format!("\n  {:<8}  {revoked}", revoked.kind()));
        }
        text.push_str(&format!("\n  signer    {}", self.signer));
        if let Some(number) = number {
            text.push_str(&format!("\n  list      number {number} in lattice `{}`", self.lattice.connection.lattice));
        }
        let ids: Vec<String> = self.revoked.iter().map(ToString::to_string).collect();
        Output::text(text)
            .with("what", self.revoked.first().map(Revoked::kind))
            .with("ids", ids)
            .with("signer", self.signer.to_string())
            .with("number", number)
    }
}

/// What was meant by an id, a name, or a file. A file is named by its bytes and by the program in it, so that the same
/// program packed, signed or compiled in another way is meant too.
async fn find(lattice: &Lattice<'_>, kind: Kind, given: &OsStr) -> Result<Vec<Revoked>> {
    if kind == Kind::Digest && Path::new(given).is_file() {
        let bytes = given_file::read_artifact(Path::new(given))?;
        return Ok(identities(&bytes.into()).into_iter().map(Revoked::Digest).collect());
    }
    let id = given.to_str().ok_or_else(|| {
        Failure::usage(format!("`{}` is neither an id nor a name: it is not UTF-8 text", given.display()))
            .hint("only the file of `digest` may be named like that, and it must be there")
    })?;
    Ok(match kind {
        Kind::Issuer => vec![Revoked::Issuer(issuer(lattice, id).await?)],
        Kind::Actor => vec![Revoked::Actor(lattice.actor(id).await?)],
        Kind::Provider => vec![Revoked::Provider(lattice.provider(id).await?)],
        Kind::Digest => vec![
            Revoked::parse("digest", id)
                .map_err(|error| Failure::usage(error.to_string()).hint("or give the path of the file itself"))?,
        ],
    })
}

/// The digests by which a host knows what is in a file again, its bytes first.
fn identities(bytes: &Bytes) -> Vec<Sha256> {
    let mut digests = vec![Sha256::of(bytes)];
    let wasm = runtime::precompiled::original_wasm(bytes).unwrap_or_default();
    match wasm::programs(&wasm) {
        Ok(programs) => digests.push(programs.whole),
        Err(_) => digests.extend(archive::read(bytes).map(|archive| archive.programs()).unwrap_or_default()),
    }
    let mut seen = BTreeSet::new();
    digests.retain(|digest| seen.insert(*digest));
    digests
}

/// An account, or the beginning of one that has signed something in the lattice.
async fn issuer(lattice: &Lattice<'_>, term: &str) -> Result<AccountId> {
    if let Ok(id) = term.trim().parse() {
        return Ok(id);
    }
    let mut candidates: Vec<crate::lattice::resolve::Candidate<AccountId>> = Vec::new();
    for (_, id) in issuers(lattice).await {
        if !candidates.iter().any(|known| known.id == id) {
            candidates.push(crate::lattice::resolve::Candidate { id, names: Vec::new() });
        }
    }
    crate::lattice::resolve::resolve("issuer", term, &candidates)
}

/// Who signed what, as far as the lattice knows.
async fn issuers(lattice: &Lattice<'_>) -> Vec<(String, AccountId)> {
    let rows = lattice.reached.control.claims().await.unwrap_or_default();
    let text = |row: &lattice::control::ClaimsRow, short: &str, long: &str| {
        row.get(short).or_else(|| row.get(long)).cloned().unwrap_or_default()
    };
    rows.iter()
        .filter_map(|row| Some((text(row, "sub", "subject"), text(row, "iss", "issuer").parse().ok()?)))
        .collect()
}
