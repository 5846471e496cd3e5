//! The waPC guest ABI: the import module `wasmbus` (protocol section 5.1).
//!
//! Every pointer and length comes from the guest and is checked against its memory before anything is copied, and a
//! length against its limit before anything is allocated. Invariant: what was handed out once (request, host response,
//! host error) is gone.

use bytes::Bytes;
use contracts::{Budget, text};
use wasmtime::{Caller, Linker, Memory};

use super::{builtin, state::ModuleState};
use crate::{
    actor::logs::{LINE_BYTES, Level},
    call::{HasCall, outbound::OutboundTarget},
    error::ended::{Breach, Broken},
};

/// Name of the import module.
pub(super) const MODULE: &str = "wasmbus";

const OK: u32 = 1;
const ERROR: u32 = u32::MAX;

pub(super) fn add_to_linker(linker: &mut Linker<ModuleState>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "__console_log", console_log)?;
    linker.func_wrap(MODULE, "__guest_request", guest_request)?;
    linker.func_wrap(MODULE, "__guest_response", guest_response)?;
    linker.func_wrap(MODULE, "__guest_error", guest_error)?;
    linker.func_wrap(MODULE, "__host_response", host_response)?;
    linker.func_wrap(MODULE, "__host_response_len", host_response_len)?;
    linker.func_wrap(MODULE, "__host_error", host_error)?;
    linker.func_wrap(MODULE, "__host_error_len", host_error_len)?;
    linker.func_wrap_async(MODULE, "__host_call", |caller, arguments| Box::new(host_call(caller, arguments)))?;
    Ok(())
}

type Guest<'a> = Caller<'a, ModuleState>;

/// A piece of guest memory, as the guest names it.
#[derive(Clone, Copy)]
struct Span {
    at: u32,
    len: u32,
}

impl Span {
    /// The bytes, or a trap that names the argument.
    fn of<'m>(self, memory: &'m [u8], what: &str) -> Result<&'m [u8], Breach> {
        let start = self.at as usize;
        memory.get(start..start.saturating_add(self.len as usize)).ok_or_else(|| self.outside(what))
    }

    fn outside(self, what: &str) -> Breach {
        Breach::Abi(format!("{what}: {} bytes at {} are outside of the guest's memory", self.len, self.at))
    }

    fn text<'m>(self, memory: &'m [u8], what: &str) -> Result<&'m str, Breach> {
        std::str::from_utf8(self.of(memory, what)?).map_err(|_| Breach::Abi(format!("{what} is not UTF-8")))
    }
}

fn write(memory: &mut [u8], at: u32, bytes: &[u8], what: &str) -> Result<(), Breach> {
    let start = at as usize;
    let target = memory.get_mut(start..start.saturating_add(bytes.len()));
    target.ok_or_else(|| Span { at, len: len(bytes) }.outside(what))?.copy_from_slice(bytes);
    Ok(())
}

fn memory(guest: &mut Guest<'_>) -> Result<Memory, Breach> {
    if let Some(memory) = guest.data().memory {
        return Ok(memory);
    }
    // Only while the module is being instantiated, in its start function.
    let memory = guest.get_export("memory").and_then(wasmtime::Extern::into_memory);
    memory.ok_or_else(|| Breach::Abi("the guest exports no memory".to_owned()))
}

fn console_log(mut guest: Guest<'_>, at: u32, len: u32) -> wasmtime::Result<()> {
    let memory = memory(&mut guest)?;
    let (memory, state) = memory.data_and_store_mut(&mut guest);
    let text = Span { at, len }.of(memory, "`__console_log` text")?;
    if tracing::enabled!(target: "guest", tracing::Level::TRACE) {
        let text = String::from_utf8_lossy(&text[..text.len().min(LINE_BYTES)]);
        state.call().logs().line(Level::Trace, "console", &text);
    }
    Ok(())
}

fn guest_request(mut guest: Guest<'_>, operation_at: u32, payload_at: u32) -> wasmtime::Result<()> {
    let memory = memory(&mut guest)?;
    let (memory, state) = memory.data_and_store_mut(&mut guest);
    let Some((operation, payload)) = state.request.take() else {
        return Err(Breach::Abi("`__guest_request`: no request is pending, it may be called once".to_owned()).into());
    };
    write(memory, operation_at, operation.as_bytes(), "`__guest_request` operation")?;
    write(memory, payload_at, &payload, "`__guest_request` payload")?;
    Ok(())
}

fn guest_response(mut guest: Guest<'_>, at: u32, len: u32) -> wasmtime::Result<()> {
    let memory = memory(&mut guest)?;
    let (memory, state) = memory.data_and_store_mut(&mut guest);
    let bytes = Span { at, len }.of(memory, "`__guest_response` payload")?;
    state.call().check_response(bytes.len())?;
    let charge = Budget::bodies().reserve(bytes.len() as u64);
    let charge = charge.map_err(|no_room| Breach::NoRoom(no_room.to_string()))?;
    state.response = Some(charge.carried_by(Bytes::copy_from_slice(bytes)));
    Ok(())
}

fn guest_error(mut guest: Guest<'_>, at: u32, len: u32) -> wasmtime::Result<()> {
    let memory = memory(&mut guest)?;
    let (memory, state) = memory.data_and_store_mut(&mut guest);
    let bytes = Span { at, len }.of(memory, "`__guest_error` text")?;
    state.call().check_response(bytes.len())?;
    state.error = Some(text::taken(bytes));
    Ok(())
}

fn host_response_len(guest: Guest<'_>) -> u32 {
    guest.data().host_response.as_deref().map_or(0, len)
}

fn host_error_len(guest: Guest<'_>) -> u32 {
    guest.data().host_error.as_ref().map_or(0, |text| len(text.as_bytes()))
}

/// Length as the guest sees it. Limits are 32 bits wide, so it always fits.
fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn host_response(mut guest: Guest<'_>, at: u32) -> wasmtime::Result<()> {
    let memory = memory(&mut guest)?;
    let (memory, state) = memory.data_and_store_mut(&mut guest);
    let Some(bytes) = state.host_response.take() else {
        return Err(Breach::Abi("`__host_response`: no result is pending".to_owned()).into());
    };
    write(memory, at, &bytes, "`__host_response` target")?;
    Ok(())
}

fn host_error(mut guest: Guest<'_>, at: u32) -> wasmtime::Result<()> {
    let memory = memory(&mut guest)?;
    let (memory, state) = memory.data_and_store_mut(&mut guest);
    let Some(text) = state.host_error.take() else {
        return Err(Breach::Abi("`__host_error`: no error is pending".to_owned()).into());
    };
    write(memory, at, text.as_bytes(), "`__host_error` target")?;
    Ok(())
}

type HostCallArguments = (u32, u32, u32, u32, u32, u32, u32, u32);

async fn host_call(mut guest: Guest<'_>, arguments: HostCallArguments) -> wasmtime::Result<u32> {
    let memory = memory(&mut guest)?;
    let call = {
        let (memory, state) = memory.data_and_store_mut(&mut guest);
        HostCall::read(memory, state, arguments)?
    };
    let result = match builtin::handle(guest.data_mut().call(), &call.namespace, &call.operation, &call.payload) {
        Some(result) => result,
        None => {
            let HostCall { binding, namespace, operation, payload } = call;
            let target = OutboundTarget::Unresolved { binding, namespace };
            let outbound = guest.data_mut().call().outbound(target, operation, payload);
            outbound.await
        }
    };
    let state = guest.data_mut();
    Ok(match result {
        Ok(bytes) => {
            state.host_response = Some(bytes);
            OK
        }
        Err(error) => {
            state.host_error = Some(error.to_string());
            ERROR
        }
    })
}

/// Arguments of `__host_call`, read out of the guest.
struct HostCall {
    binding: String,
    namespace: String,
    operation: String,
    payload: Bytes,
}

impl HostCall {
    fn read(memory: &[u8], state: &mut ModuleState, arguments: HostCallArguments) -> Result<Self, Breach> {
        let (binding_at, binding_len, namespace_at, namespace_len, operation_at, operation_len, at, len) = arguments;
        state.call().count_host_call(len as usize)?;
        let name = |at, len, what: &str| {
            if len > NAME_BYTES {
                return Err(Breach::Limit(Broken {
                    limit: None,
                    text: format!("{what} of at most {NAME_BYTES} bytes"),
                }));
            }
            Span { at, len }.text(memory, what).map(str::to_owned)
        };
        Ok(Self {
            binding: name(binding_at, binding_len, "`__host_call` binding")?,
            namespace: name(namespace_at, namespace_len, "`__host_call` namespace")?,
            operation: name(operation_at, operation_len, "`__host_call` operation")?,
            payload: Bytes::copy_from_slice(Span { at, len }.of(memory, "`__host_call` payload")?),
        })
    }
}

/// Longest binding, namespace or operation.
const NAME_BYTES: u32 = 64 << 10;
