//! Walking the sections of a binary: id, length, body.
//!
//! Knows nothing of what is in a body, except the name of a custom section. Invariant: no read outside the slice, and
//! every step moves forward by at least two bytes, so a walk ends.

use super::format::{CLAIMS_SECTION, Layer, OLD_CLAIMS_SECTION, WasmError, layer};

/// Id of custom sections, in modules and components alike.
pub(super) const CUSTOM: u8 = 0;
const NESTED_MODULE: u8 = 1;
const NESTED_COMPONENT: u8 = 4;

/// The sections of one module or component, not of those nested in it.
pub(super) struct Sections<'a> {
    pub(super) layer: Layer,
    wasm: &'a [u8],
    offset: usize,
}

impl<'a> Sections<'a> {
    pub(super) fn of(wasm: &'a [u8]) -> Result<Self, WasmError> {
        Ok(Self { layer: layer(wasm)?, wasm, offset: 8 })
    }

    fn read(&mut self) -> Result<Section<'a>, WasmError> {
        let start = self.offset;
        let id = self.wasm[start];
        let (length, body) = read_leb(self.wasm, start + 1)?;
        let end = body.checked_add(length).filter(|end| *end <= self.wasm.len());
        let end = end.ok_or(WasmError::CutOff { what: "the section", offset: start })?;
        self.offset = end;
        Ok(Section { layer: self.layer, id, start, body: &self.wasm[body..end], end })
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, WasmError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.wasm.len() {
            return None;
        }
        let section = self.read();
        if section.is_err() {
            self.offset = self.wasm.len();
        }
        Some(section)
    }
}

/// One section.
pub(super) struct Section<'a> {
    layer: Layer,
    pub(super) id: u8,
    pub(super) body: &'a [u8],
    /// Where the section starts in its binary, at its id.
    pub(super) start: usize,
    /// Where the next one starts.
    pub(super) end: usize,
}

impl<'a> Section<'a> {
    /// The payload, when this is a claims section.
    pub(super) fn claims(&self) -> Result<Option<&'a [u8]>, WasmError> {
        if self.id != CUSTOM {
            return Ok(None);
        }
        let (length, name) = read_leb(self.body, 0).map_err(|error| self.absolute(error))?;
        let cut_off = WasmError::CutOff { what: "the section name", offset: self.start };
        let (name, payload) = self.body[name..].split_at_checked(length).ok_or(cut_off)?;
        let is_claims = name == CLAIMS_SECTION.as_bytes() || name == OLD_CLAIMS_SECTION.as_bytes();
        Ok(is_claims.then_some(payload))
    }

    /// Whether its length is written in the shortest form.
    pub(super) fn is_shortest(&self) -> bool {
        self.end - self.start == 1 + leb(self.body.len()).len() + self.body.len()
    }

    /// Whether the body is a binary of its own.
    pub(super) fn is_nested(&self) -> bool {
        self.layer == Layer::Component && matches!(self.id, NESTED_MODULE | NESTED_COMPONENT)
    }

    /// The body starts somewhere in the binary; errors name the place in the binary.
    fn absolute(&self, error: WasmError) -> WasmError {
        let body = self.end - self.body.len();
        match error {
            WasmError::CutOff { what, offset } => WasmError::CutOff { what, offset: offset + body },
            WasmError::LengthOverflow { offset } => WasmError::LengthOverflow { offset: offset + body },
            other => other,
        }
    }
}

/// Reads an unsigned LEB128 of at most 32 bits; answers it and the offset behind it.
fn read_leb(bytes: &[u8], offset: usize) -> Result<(usize, usize), WasmError> {
    let mut value = 0u32;
    for index in 0..5 {
        let Some(&byte) = bytes.get(offset + index) else {
            return Err(WasmError::CutOff { what: "the length", offset });
        };
        // The fifth byte has room for four more bits and may not continue.
        if index == 4 && byte > 0x0F {
            break;
        }
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value as usize, offset + index + 1));
        }
    }
    Err(WasmError::LengthOverflow { offset })
}

/// A length in its shortest form.
pub(super) struct Leb {
    bytes: [u8; 5],
    len: usize,
}

impl Leb {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Encodes a length in its shortest form. Lengths come from sections, which were read with 32 bits.
pub(super) fn leb(length: usize) -> Leb {
    let mut rest = u32::try_from(length).expect("no section is longer than 32 bits tell");
    let mut leb = Leb { bytes: [0; 5], len: 0 };
    loop {
        let low = (rest & 0x7F) as u8;
        rest >>= 7;
        leb.bytes[leb.len] = if rest == 0 { low } else { low | 0x80 };
        leb.len += 1;
        if rest == 0 {
            return leb;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_trip_in_their_shortest_form() {
        for length in [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 0x1F_FFFF, 0x20_0000, 0xFFF_FFFF, 0x1000_0000, u32::MAX] {
            let encoded = leb(length as usize);
            assert_eq!(read_leb(encoded.bytes(), 0), Ok((length as usize, encoded.len())));
            assert!(encoded.len() == 1 || encoded.bytes()[encoded.len() - 1] != 0, "{length} is not shortest");
        }
    }

    #[test]
    fn padded_lengths_are_read() {
        assert_eq!(read_leb(&[0x85, 0x80, 0x80, 0x80, 0x00], 0), Ok((5, 5)));
    }

    #[test]
    fn lengths_above_32_bits_are_refused() {
        let overflow = Err(WasmError::LengthOverflow { offset: 0 });
        assert_eq!(read_leb(&[0xFF, 0xFF, 0xFF, 0xFF, 0x10], 0), overflow);
        assert_eq!(read_leb(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 0), overflow);
        assert_eq!(read_leb(&[0x80, 0x80], 0), Err(WasmError::CutOff { what: "the length", offset: 0 }));
    }
}
