//! `owners.put`: an actor or provider is to belong to another account. Ours; hosts of others have nothing like it.

use bytes::Bytes;
use claims::ownership::Transfer;
use lattice::control::{Ack, PutOwner, decode};

use crate::{core::Core, process::error_chain::reason, state::owners::decide, trust::ownership};

/// Moves an id to another account. Answers when that is in force here, and kept.
pub async fn put(core: &Core, body: &Bytes) -> Ack {
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
            return Ack::refused(reason(&error));
        }
    };
    let subject = transfer.content.subject;
    let present = ownership::present(core, &subject);
    let record = match decide(&transfer, present, &core.trust, ownership::now_ms()) {
        Ok(record) => record,
        Err(error) => {
            tracing::warn!(%subject, %error, code = error.code(), "refusing a transfer of ownership");
            return Ack::refused(error.to_string());
        }
    };
    match ownership::put(core, &record).await {
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
            Ack::refused(reason(&error))
        }
    }
}
