//! The waPC calling convention of the lattice, import module `wasmbus` (protocol section 5).
//!
//! Owns every raw pointer between an actor and its host. Knows nothing of operations: it hands them to the actor.
//! Invariant: the host writes only into buffers whose length it announced.

#[link(wasm_import_module = "wasmbus")]
unsafe extern "C" {
    fn __guest_request(operation: *mut u8, payload: *mut u8);
    fn __guest_response(pointer: *const u8, length: usize);
    fn __guest_error(pointer: *const u8, length: usize);
    fn __host_call(
        binding: *const u8,
        binding_length: usize,
        namespace: *const u8,
        namespace_length: usize,
        operation: *const u8,
        operation_length: usize,
        payload: *const u8,
        payload_length: usize,
    ) -> i32;
    fn __host_response_len() -> usize;
    fn __host_response(pointer: *mut u8);
    fn __host_error_len() -> usize;
    fn __host_error(pointer: *mut u8);
}

/// Answers the call whose operation and argument have the announced lengths. Returns 1 for success. What
/// [`module!`](crate::module) exports.
pub fn answer(
    operation_length: usize,
    payload_length: usize,
    handle: impl FnOnce(&str, Vec<u8>) -> Result<Vec<u8>, String>,
) -> i32 {
    let mut operation = vec![0; operation_length];
    let mut payload = vec![0; payload_length];
    // SAFETY: both buffers have the length the host announced, and it writes exactly that much.
    unsafe { __guest_request(operation.as_mut_ptr(), payload.as_mut_ptr()) };

    let outcome = match std::str::from_utf8(&operation) {
        Ok(operation) => handle(operation, payload),
        Err(_) => Err("the operation is not UTF-8".to_owned()),
    };
    match outcome {
        Ok(answer) => {
            // SAFETY: `answer` outlives the call, in which the host copies it.
            unsafe { __guest_response(answer.as_ptr(), answer.len()) };
            1
        }
        Err(text) => {
            // SAFETY: `text` outlives the call, in which the host copies it.
            unsafe { __guest_error(text.as_ptr(), text.len()) };
            0
        }
    }
}

/// Calls out through the host: `namespace` is a contract or an actor, `binding` a link name or empty.
///
/// # Errors
/// The host's text.
pub fn host_call(binding: &str, namespace: &str, operation: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
    // SAFETY: four pairs of pointer and length of live slices, which the host only reads.
    let code = unsafe {
        __host_call(
            binding.as_ptr(),
            binding.len(),
            namespace.as_ptr(),
            namespace.len(),
            operation.as_ptr(),
            operation.len(),
            payload.as_ptr(),
            payload.len(),
        )
    };
    if code == 1 {
        // SAFETY: takes nothing and reads host state only.
        let mut answer = vec![0; unsafe { __host_response_len() }];
        if !answer.is_empty() {
            // SAFETY: the buffer has the length the host just gave, and fetching consumes the result.
            unsafe { __host_response(answer.as_mut_ptr()) };
        }
        return Ok(answer);
    }
    // SAFETY: as above, for the error text.
    let mut text = vec![0; unsafe { __host_error_len() }];
    if !text.is_empty() {
        // SAFETY: as above, for the error text.
        unsafe { __host_error(text.as_mut_ptr()) };
    }
    Err(String::from_utf8_lossy(&text).into_owned())
}
