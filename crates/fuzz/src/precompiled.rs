//! Files that carry compiled code along: they are taken apart before anything in them is believed.

use bytes::Bytes;
use runtime::precompiled::{is_precompiled, original_wasm};

/// The wasm in the file is a part of it, and any other bytes are their own wasm.
pub fn precompiled(data: &[u8]) {
    let file = Bytes::copy_from_slice(data);
    let Ok(wasm) = original_wasm(&file) else {
        assert!(is_precompiled(data), "only a precompiled file can be cut short");
        return;
    };
    if is_precompiled(data) {
        assert!(wasm.len() + 16 <= data.len());
        assert_eq!(wasm, data[16..16 + wasm.len()]);
    } else {
        assert_eq!(wasm, data);
    }
}
