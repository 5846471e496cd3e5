//! `owners.put`: an actor or provider is to belong to another account. Ours; hosts of others have nothing like it.

use bytes::Bytes;
use claims::ownership::Transfer;
use lattice::control::{Ack, PutOwner, decode};

use lattice_state::owners::decide;

use super::face::Control;
use crate::process::{clock::unix_now_ms, error_chain::error_chain};

/// Moves an id to another account. Answers when that is in force here, and kept.
pub async fn put(control: &Control, body: &Bytes) -> Ack {
    let PutOwner { token } = match decode(body) {
        Ok(request) => request,
        Err(error) => return Ack::refused(error),
    };
    let transfer = match Transfer::verify(&token) {
        Ok(transfer) => transfer,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                code = error.code(),
                "refusing a transfer of ownership"
            );
            return Ack::refused(error_chain(&error));
        }
    };
    let subject = transfer.content.subject;
    let present = control.admission.owners.present(&subject);
    let record = match decide(&transfer, present, &control.admission.owners.trust, unix_now_ms()) {
        Ok(record) => record,
        Err(error) => {
            tracing::warn!(%subject, %error, code = error.code(), "refusing a transfer of ownership");
            return Ack::refused(error_chain(&error));
        }
    };
    match control.admission.owners.put(&record).await {
        Ok(in_force) if in_force.content == record => {
            tracing::info!(%subject, owner = %record.owner, signer = %transfer.signer, "ownership moved");
            Ack::accepted()
        }
        Ok(in_force) => Ack::refused(format!(
            "somebody else moved it to `{}` at the same time; look, and sign it again",
            in_force.content.owner
        )),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, code = error.code(), %subject, "cannot move ownership");
            Ack::refused(error_chain(&error))
        }
    }
}
