//! `revocations.put` and `revocations.get`: signed lists of what must no longer run. Ours; hosts of others have neither.

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
use claims::{AccountId, revocation::Signer};
use lattice::control::{Ack, GetRevocations, PutRevocations, RevocationsReply, SignedList, decode, encode};

use crate::{control::face::Control, process::error_chain::error_chain};

/// Bytes of tokens in one answer, unless one alone has more: an answer must fit a message.
const PAGE_BYTES: usize = 512 << 10;

/// Puts a list into force. Answers when it is in force here, and kept.
pub async fn put(control: &Arc<Control>, body: &Bytes) -> Ack {
    let PutRevocations { token } = match decode(body) {
        Ok(request) => request,
        Err(error) => return Ack::refused(error),
    };
    let trust = control.admission.owners.trust.clone();
    let judged = match tokio::task::spawn_blocking(move || trust.judge(&token)).await {
        Ok(judged) => judged,
        Err(_) => return Ack::refused("this host is stopping"),
    };
    let signed = match judged {
        Ok(signed) => signed,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, code = error.code(), "refusing a revocation list");
            return Ack::refused(error_chain(&error));
        }
    };
    let (signer, number, entries) = (signed.signer, signed.list.number, signed.list.entries.len());
    if let Signer::Account(account) = signer
        && !knows_issuer(control, &account)
    {
        return Ack::refused(format!(
            "account `{account}` has signed nothing this lattice has seen; have the list signed by the cluster key"
        ));
    }
    match control.store.revoke(Arc::new(signed)).await {
        Ok(()) => {
            tracing::info!(%signer, number, entries, "revocation list in force");
            control.store.kept()
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, code = error.code(), %signer, number, "refusing a revocation list");
            Ack::refused(error_chain(&error))
        }
    }
}

/// Whether an account has to do with this lattice: it may be trusted here, or signed something that was seen.
fn knows_issuer(control: &Control, account: &AccountId) -> bool {
    control.admission.issuers.names(account) || control.tables().claims.knows_issuer(account)
}

/// The lists in force, from where the page before ended.
pub fn get(control: &Control, body: &Bytes) -> Vec<u8> {
    let after = match body.is_empty() {
        true => None,
        false => match decode::<GetRevocations>(body) {
            Ok(request) => request.after,
            Err(error) => return encode(&Ack::refused(error)),
        },
    };
    let lists = control.tables().revocations().by_key();
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut reply = RevocationsReply::default();
    let (mut bytes, mut last) = (0, None);
    for (key, signed) in lists.range((start, Bound::Unbounded)) {
        bytes += signed.token.len();
        if bytes > PAGE_BYTES && last.is_some() {
            reply.more = last;
            break;
        }
        last = Some(key.clone());
        reply.lists.push(SignedList {
            signer: signed.signer.to_string(),
            number: signed.list.number,
            token: signed.token.clone(),
        });
    }
    encode(&reply)
}
