//! Keys and seeds in their text form: one key has one text, and nothing else is a key.

use claims::{AccountId, ActorId, ClusterId, HostId, KeyKind, KeyPair, OperatorId, ProviderId, PublicKey};
use data_encoding::BASE32_NOPAD;

/// The input as text, and the text of the input as raw bytes with the right checksum behind them.
pub fn key_text(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    // No fuzzer finds a checksum by chance.
    if data.len() <= 64 {
        let raw = [data, crc16(data).to_le_bytes().as_slice()].concat();
        let text = BASE32_NOPAD.encode(&raw);
        let accepted = check(&text);
        let public = data.len() == 33 && KeyKind::ALL.iter().any(|kind| PREFIX[*kind as usize] == data[0]);
        let seed = data.len() == 34
            && data[0] & 0xF8 == 0x90
            && data[1] & 7 == 0
            && PREFIX.contains(&((data[0] & 7) << 5 | data[1] >> 3));
        assert_eq!(accepted, public || seed, "{text}");
    }
}

/// Prefixes in the order of [`KeyKind::ALL`], as the protocol lists them.
const PREFIX: [u8; 7] = [0x68, 0x60, 0xA8, 0x00, 0x70, 0x10, 0xA0];

/// Checks the laws of a text; answers whether it is a key or a seed.
fn check(text: &str) -> bool {
    let public = text.parse::<PublicKey>();
    let seed = KeyPair::from_seed(text);
    assert!(public.is_err() || seed.is_err(), "`{text}` is both a key and a seed");
    if let Ok(key) = public {
        assert_eq!(key.as_str(), text);
        assert_eq!(PublicKey::from_raw(key.kind(), key.to_raw()), key);
        assert!(text.starts_with(key.kind().letter()));
        check_ids(text, key.kind());
        // Whatever the bytes are, a signature nobody made does not hold.
        assert!(key.verify(b"", &[0; 64]).is_err());
        return true;
    }
    if let Ok(pair) = seed {
        assert_eq!(pair.seed().expose(), text);
        assert_eq!(pair.public().verify(b"message", &pair.sign(b"message")), Ok(()));
        return true;
    }
    check_ids(text, KeyKind::User);
    false
}

/// Exactly the id of the right kind takes the text; there is none for users.
fn check_ids(text: &str, kind: KeyKind) {
    assert_eq!(text.parse::<HostId>().is_ok(), kind == KeyKind::Server);
    assert_eq!(text.parse::<ActorId>().is_ok(), kind == KeyKind::Module);
    assert_eq!(text.parse::<ProviderId>().is_ok(), kind == KeyKind::Service);
    assert_eq!(text.parse::<AccountId>().is_ok(), kind == KeyKind::Account);
    assert_eq!(text.parse::<OperatorId>().is_ok(), kind == KeyKind::Operator);
    assert_eq!(text.parse::<ClusterId>().is_ok(), kind == KeyKind::Cluster);
}

/// CRC-16/XMODEM bit by bit, as the protocol defines it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}
