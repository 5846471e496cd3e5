//! The two binary formats, the names of the sections that carry claims, and why a binary cannot be taken apart.

/// Modules and components in one component, at every depth. Engines take 1,000 of each at one level.
pub const MAX_NESTED: usize = 2048;
/// How often one byte may be part of something nested: that many levels, if everything is in the innermost.
pub const MAX_NESTED_TIMES: usize = 8;
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
