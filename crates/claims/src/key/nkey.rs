//! The nkeys text form: base32 without padding over prefix, 32 key bytes and a CRC-16/XMODEM.
//!
//! Knows the bytes only; what a key is for is decided in [`super`]. Invariant: decoding accepts exactly the texts
//! that encoding can produce, so one key has one text.

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::{KeyError, KeyKind};

/// Characters of a public key.
pub(crate) const PUBLIC_TEXT: usize = 56;
/// Characters of a seed.
pub(crate) const SEED_TEXT: usize = 58;

const SEED_PREFIX: u8 = 0x90;
const PUBLIC_RAW: usize = 1 + 32 + 2;
const SEED_RAW: usize = 2 + 32 + 2;

/// CRC-16/XMODEM: polynomial 0x1021, initial value 0, no reflection.
const fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    let mut index = 0;
    while index < bytes.len() {
        crc = (crc << 8) ^ CRC_TABLE[((crc >> 8) as u8 ^ bytes[index]) as usize];
        index += 1;
    }
    crc
}

const CRC_TABLE: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// Renders a public key.
pub(crate) fn encode_public(kind: KeyKind, key: &[u8; 32]) -> [u8; PUBLIC_TEXT] {
    let mut raw = [0u8; PUBLIC_RAW];
    raw[0] = kind.prefix();
    raw[1..33].copy_from_slice(key);
    let crc = crc16(&raw[..33]);
    raw[33..].copy_from_slice(&crc.to_le_bytes());
    let mut text = [0u8; PUBLIC_TEXT];
    BASE32_NOPAD.encode_mut(&raw, &mut text);
    text
}

/// Parses a public key into its kind and raw bytes.
pub(crate) fn decode_public(text: &str) -> Result<(KeyKind, [u8; 32]), KeyError> {
    if text.len() != PUBLIC_TEXT {
        return Err(KeyError::Length { expected: PUBLIC_TEXT, found: text.len() });
    }
    let mut raw = [0u8; PUBLIC_RAW];
    BASE32_NOPAD.decode_mut(text.as_bytes(), &mut raw).map_err(|_| KeyError::Alphabet)?;
    check_crc(&raw)?;
    let kind = KeyKind::from_prefix(raw[0]).ok_or(KeyError::Prefix)?;
    let mut key = [0u8; 32];
    key.copy_from_slice(&raw[1..33]);
    Ok((kind, key))
}

/// The raw bytes inside a text that [`decode_public`] accepted before.
pub(crate) fn raw_public(text: &[u8; PUBLIC_TEXT]) -> [u8; 32] {
    let mut raw = [0u8; PUBLIC_RAW];
    BASE32_NOPAD.decode_mut(text, &mut raw).expect("the text of a public key was validated when it was made");
    let mut key = [0u8; 32];
    key.copy_from_slice(&raw[1..33]);
    key
}

/// Renders a seed.
pub(crate) fn encode_seed(kind: KeyKind, seed: &[u8; 32]) -> Zeroizing<String> {
    let mut raw = Zeroizing::new([0u8; SEED_RAW]);
    raw[0] = SEED_PREFIX | (kind.prefix() >> 5);
    raw[1] = (kind.prefix() & 31) << 3;
    raw[2..34].copy_from_slice(seed);
    let crc = crc16(&raw[..34]);
    raw[34..].copy_from_slice(&crc.to_le_bytes());
    Zeroizing::new(BASE32_NOPAD.encode(raw.as_slice()))
}

/// Parses a seed into its kind and raw bytes.
pub(crate) fn decode_seed(text: &str) -> Result<(KeyKind, Zeroizing<[u8; 32]>), KeyError> {
    if text.len() == PUBLIC_TEXT && decode_public(text).is_ok() {
        return Err(KeyError::NotASeed);
    }
    if text.len() != SEED_TEXT {
        return Err(KeyError::Length { expected: SEED_TEXT, found: text.len() });
    }
    let mut raw = Zeroizing::new([0u8; SEED_RAW]);
    BASE32_NOPAD.decode_mut(text.as_bytes(), raw.as_mut_slice()).map_err(|_| KeyError::Alphabet)?;
    check_crc(raw.as_slice())?;
    if raw[0] & 0xF8 != SEED_PREFIX {
        return Err(KeyError::NotASeed);
    }
    // The low three bits of the second byte belong to nothing; anything but zero would be a second text for this seed.
    if raw[1] & 7 != 0 {
        return Err(KeyError::Prefix);
    }
    let kind = KeyKind::from_prefix(((raw[0] & 7) << 5) | (raw[1] >> 3)).ok_or(KeyError::Prefix)?;
    let mut seed = Zeroizing::new([0u8; 32]);
    seed.copy_from_slice(&raw[2..34]);
    Ok((kind, seed))
}

fn check_crc(raw: &[u8]) -> Result<(), KeyError> {
    let (body, crc) = raw.split_at(raw.len() - 2);
    if crc16(body).to_le_bytes() == *crc { Ok(()) } else { Err(KeyError::Checksum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_has_the_check_value_of_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/nkeys.json")).expect("vectors are JSON");
        for vector in golden["crc16"].as_array().expect("a list") {
            let hex = vector["input_hex"].as_str().map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()));
            let input = match (hex, vector["input_ascii"].as_str()) {
                (Some(hex), _) => hex.expect("hex"),
                (None, ascii) => ascii.expect("hex or ASCII").as_bytes().to_vec(),
            };
            assert_eq!(u64::from(crc16(&input)), vector["crc16"].as_u64().expect("a number"));
        }
    }

    #[test]
    fn a_seed_with_loose_bits_in_its_prefix_is_refused() {
        let mut raw = [0u8; SEED_RAW];
        raw[0] = SEED_PREFIX;
        raw[1] = 1;
        let crc = crc16(&raw[..34]);
        raw[34..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode_seed(&BASE32_NOPAD.encode(&raw)).err(), Some(KeyError::Prefix));
    }

    #[test]
    fn a_key_of_an_unknown_kind_is_refused() {
        let mut raw = [0u8; PUBLIC_RAW];
        raw[0] = 23 << 3; // `X`: a curve key, which signs nothing
        let crc = crc16(&raw[..33]);
        raw[33..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode_public(&BASE32_NOPAD.encode(&raw)).err(), Some(KeyError::Prefix));
    }
}
