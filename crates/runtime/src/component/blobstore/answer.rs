//! How a function of the interfaces answers its guest, and what its resources have in common.

use wasmtime::{
    StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType},
};

use super::store::{Outcome, Refusal};
use crate::component::state::ComponentState;

pub(super) type Guest<'a> = StoreContextMut<'a, ComponentState>;
pub(super) type Instance<'a> = LinkerInstance<'a, ComponentState>;
/// What the interfaces call `result<T, error>`.
pub(super) type Answer<T> = wasmtime::Result<(Result<T, String>,)>;

/// A resource whose end matters to nobody else.
pub(super) fn resource<T: Send + 'static>(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    instance.resource(name, ResourceType::host::<T>(), |mut guest, rep| {
        guest.data_mut().table.delete(Resource::<T>::new_own(rep))?;
        Ok(())
    })
}

pub(super) fn answer<T>(outcome: Outcome<T>) -> Answer<T> {
    match outcome {
        Ok(value) => Ok((Ok(value),)),
        Err(Refusal::Error(text)) => Ok((Err(text),)),
        Err(Refusal::Breach(breach)) => Err(breach.into()),
    }
}

/// Hands a new resource to the guest.
pub(super) fn hand_over<T: Send + 'static>(guest: &mut Guest<'_>, outcome: Outcome<T>) -> Answer<Resource<T>> {
    match outcome {
        Ok(value) => answer(Ok(guest.data_mut().table.push(value)?)),
        Err(refusal) => answer(Err(refusal)),
    }
}
