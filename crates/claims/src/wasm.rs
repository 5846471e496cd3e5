//! Claims inside a WebAssembly binary.
//!
//! The token is the last section of the binary; the hash it carries covers the *canonical* binary: fixed header,
//! shortest section lengths, claims sections left out, at every nesting depth. Knows sections, not instructions: whether
//! the code is valid is for the runtime. Invariant: what [`verify_actor`] accepts is, outside its claims section and up
//! to sections that carry no code, exactly what was signed.

mod actor;
mod canonical;
mod programs;
mod sections;

pub use actor::{ArtifactError, SignedActor, sign_actor, sign_actor_to, verify_actor};
pub use canonical::{canonical_hash, canonical_len, canonicalize};
pub use programs::{MAX_NESTED, MAX_NESTED_TIMES, Programs, programs};

use sections::Sections;

use crate::jwt::MAX_TOKEN;

/// Name of the section in which the token is written.
pub const CLAIMS_SECTION: &str = "wasmcloud_jwt";
/// Name of the section in which signers before 2022 wrote it; read, never written.
pub const OLD_CLAIMS_SECTION: &str = "jwt";

/// The two binary formats of WebAssembly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// A core module.
    Module,
    /// A component.
    Component,
}

impl Layer {
    /// The eight bytes a canonical binary of this format starts with.
    pub const fn header(self) -> [u8; 8] {
        match self {
            Self::Module => *b"\0asm\x01\0\0\0",
            Self::Component => *b"\0asm\x0d\0\x01\0",
        }
    }
}

/// Why a binary cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WasmError {
    /// It does not start like a WebAssembly binary.
    #[error("not a WebAssembly binary: it starts with `{start}`, expected `\\0asm`")]
    NotWasm {
        /// Its first bytes.
        start: String,
    },
    /// A nested module or component is neither.
    #[error("a module or component nested in the binary does not start with `\\0asm`")]
    NestedNotWasm,
    /// Neither module nor component.
    #[error("layer `{layer}` of WebAssembly is neither a module (0) nor a component (1)")]
    UnknownLayer {
        /// The layer field of the header.
        layer: u16,
    },
    /// It ends, or the section that holds it ends, in the middle of something.
    #[error("the binary is cut off: {what} at byte {offset} runs past the end")]
    CutOff {
        /// What was being read.
        what: &'static str,
        /// Where.
        offset: usize,
    },
    /// A length does not fit 32 bits or takes more than five bytes.
    #[error("the length at byte {offset} does not fit 32 bits")]
    LengthOverflow {
        /// Where.
        offset: usize,
    },
    /// Components nested too deep.
    #[error("components are nested deeper than {limit} levels")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
    /// More is nested in it than is taken apart.
    #[error(
        "the component nests more than {MAX_NESTED} binaries, or the same bytes more than {MAX_NESTED_TIMES} times"
    )]
    NestsTooMuch,
    /// More than one claims section: which one counts would be a matter of taste.
    #[error("the binary carries more than one claims section: sign it again to replace them")]
    TwoClaims,
    /// The claims section holds something else.
    #[error("the claims section does not hold text")]
    ClaimsNotText,
    /// The token to embed is larger than any reader accepts.
    #[error("the token has {found} bytes, more than the {limit} allowed")]
    TokenTooLarge {
        /// Its size.
        found: usize,
        /// The bound.
        limit: usize,
    },
}

impl WasmError {
    /// Stable word for logs, tests and replies.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWasm { .. } => "not_wasm",
            Self::NestedNotWasm => "nested_not_wasm",
            Self::UnknownLayer { .. } => "unknown_layer",
            Self::CutOff { .. } => "wasm_cut_off",
            Self::LengthOverflow { .. } => "wasm_length_overflow",
            Self::TooDeep { .. } => "wasm_too_deep",
            Self::NestsTooMuch => "wasm_nests_too_much",
            Self::TwoClaims => "two_claims",
            Self::ClaimsNotText => "claims_not_text",
            Self::TokenTooLarge { .. } => "token_too_large",
        }
    }
}

/// Whether the binary is a module or a component.
///
/// # Errors
/// When it is neither.
pub fn layer(wasm: &[u8]) -> Result<Layer, WasmError> {
    let Some((magic, rest)) = wasm.split_first_chunk::<4>().filter(|(magic, _)| *magic == b"\0asm") else {
        let start = wasm[..wasm.len().min(8)].escape_ascii().to_string();
        return Err(WasmError::NotWasm { start });
    };
    let Some(&[_, _, low, high]) = rest.first_chunk::<4>() else {
        return Err(WasmError::CutOff { what: "the header", offset: magic.len() });
    };
    match u16::from_le_bytes([low, high]) {
        0 => Ok(Layer::Module),
        1 => Ok(Layer::Component),
        layer => Err(WasmError::UnknownLayer { layer }),
    }
}

/// The token in the outermost claims section, unchecked. `None`: the binary is unsigned.
///
/// Claims sections of nested modules and components say nothing about the whole and are not looked at.
///
/// # Errors
/// When the binary cannot be walked, or carries more than one claims section or one without text.
pub fn extract(wasm: &[u8]) -> Result<Option<String>, WasmError> {
    let mut token = None;
    for section in Sections::of(wasm)? {
        let Some(payload) = section?.claims()? else { continue };
        if token.is_some() {
            return Err(WasmError::TwoClaims);
        }
        token = Some(std::str::from_utf8(payload).map_err(|_| WasmError::ClaimsNotText)?);
    }
    Ok(token.map(str::to_owned))
}

/// The canonical binary with `token` as its last section; a token it carried before is replaced.
///
/// # Errors
/// When the binary cannot be walked, or the token is larger than any reader accepts.
pub fn embed(wasm: &[u8], token: &str) -> Result<Vec<u8>, WasmError> {
    let start = claims_section_start(token)?;
    let mut signed = Vec::with_capacity(canonical_len(wasm)? + start.len() + token.len());
    let mut append = |bytes: &[u8]| {
        signed.extend_from_slice(bytes);
        Ok::<_, WasmError>(())
    };
    canonical::write_canonical(wasm, &mut append)?;
    append(&start)?;
    append(token.as_bytes())?;
    Ok(signed)
}

/// What precedes the token in its section.
fn claims_section_start(token: &str) -> Result<Vec<u8>, WasmError> {
    if token.len() > MAX_TOKEN {
        return Err(WasmError::TokenTooLarge { found: token.len(), limit: MAX_TOKEN });
    }
    let name = CLAIMS_SECTION.as_bytes();
    let name_length = sections::leb(name.len());
    let length = sections::leb(name_length.len() + name.len() + token.len());
    Ok([&[sections::CUSTOM], length.bytes(), name_length.bytes(), name].concat())
}
