//! `get.claims`: what the lattice knows of signed artifacts, in pages where that is more than fits a message.

use bytes::Bytes;
use lattice::{
    bounds::{PAGE_BYTES, json_len},
    control::{ClaimsReply, GetClaims, decode, encode},
};

use crate::control::face::Control;

/// The claims, from where the page before ended. Pages end at a subject.
pub fn list(control: &Control, body: &Bytes) -> Vec<u8> {
    let after = match body.is_empty() {
        true => None,
        // Clients of others may send what they like; they get the beginning.
        false => decode::<GetClaims>(body).ok().and_then(|request| request.after),
    };
    let (most, mut bytes, mut last) = (PAGE_BYTES.min(control.inventory.most_told() / 2), 0, None);
    let mut reply = ClaimsReply::default();
    for (subject, claims) in control.tables().claims.all() {
        let subject = subject.to_string();
        if after.as_ref().is_some_and(|after| subject <= *after) {
            continue;
        }
        let row = claims.to_row();
        bytes += json_len(&row) + 1;
        if bytes > most && last.is_some() {
            reply.more = last;
            break;
        }
        last = Some(subject);
        reply.claims.push(row);
    }
    encode(&reply)
}
