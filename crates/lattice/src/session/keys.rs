//! The secrets of a session: an X25519 exchange and two HMAC-SHA256 keys that HKDF draws from it.
//!
//! Knows no message. Invariant: private bytes wipe themselves and never print; a comparison takes the same time wherever
//! the difference is.

use curve25519_dalek::MontgomeryPoint;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{MAC_BYTES, SessionError};

type HmacSha256 = Hmac<Sha256>;

/// One half of an exchange; used once.
pub struct Ephemeral {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Ephemeral {
    /// A new one.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    #[must_use]
    pub fn generate() -> Self {
        let mut private = Zeroizing::new([0; 32]);
        getrandom::fill(private.as_mut_slice()).expect("the operating system provides randomness");
        Self::from_private(private)
    }

    fn from_private(private: Zeroizing<[u8; 32]>) -> Self {
        let public = MontgomeryPoint::mul_base_clamped(*private).to_bytes();
        Self { private, public }
    }

    /// The half that is sent.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The secret that both sides have.
    ///
    /// # Errors
    /// [`SessionError::WeakKey`] when the other half is a point of small order.
    pub(super) fn agree(self, theirs: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, SessionError> {
        let shared = Zeroizing::new(MontgomeryPoint(*theirs).mul_clamped(*self.private).to_bytes());
        if shared.iter().fold(0, |all, byte| all | byte) == 0 {
            return Err(SessionError::WeakKey);
        }
        Ok(shared)
    }
}

/// Makes and checks the codes of one direction of one session.
#[derive(Clone)]
pub struct MacKey(Zeroizing<[u8; 32]>);

impl MacKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The code of a message.
    #[must_use]
    pub fn code(&self, message: &[u8]) -> [u8; MAC_BYTES] {
        self.over(message).finalize().into_bytes().into()
    }

    /// Whether a code is that of a message.
    #[must_use]
    pub fn holds(&self, message: &[u8], code: &[u8]) -> bool {
        self.over(message).verify_slice(code).is_ok()
    }

    fn over(&self, message: &[u8]) -> HmacSha256 {
        let mac = HmacSha256::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length");
        mac.chain_update(message)
    }
}

/// The two keys of a session.
pub struct SessionKeys {
    /// For batches of calls.
    pub calls: MacKey,
    /// For batches of answers.
    pub answers: MacKey,
}

impl SessionKeys {
    /// HKDF-SHA256: extract with `salt`, then one block for each direction, bound to the digest of the handshake.
    pub(super) fn derive(shared: &[u8; 32], salt: &[u8], transcript: &[u8; 32]) -> Self {
        let extracted = MacKey::new(hmac(salt, &[shared]));
        let expand = |direction: &[u8]| MacKey::new(hmac(extracted.0.as_slice(), &[direction, transcript, &[1]]));
        Self { calls: expand(b"lattice session v1 calls "), answers: expand(b"lattice session v1 answers ") }
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn bytes(hex: &str) -> [u8; 32] {
        HEXLOWER.decode(hex.as_bytes()).expect("hex").try_into().expect("32 bytes")
    }

    #[test]
    fn the_exchange_is_that_of_rfc_7748() {
        // Section 5.2, first vector.
        let scalar = bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let theirs = bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let agreed = Ephemeral::from_private(Zeroizing::new(scalar)).agree(&theirs).expect("a strong key");
        assert_eq!(*agreed, bytes("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
    }

    #[test]
    fn both_sides_have_the_same_secret_and_a_weak_half_gives_none() {
        let (one, other) = (Ephemeral::generate(), Ephemeral::generate());
        let (to_one, to_other) = (other.public(), one.public());
        assert_eq!(one.agree(&to_one), other.agree(&to_other));
        for weak in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            assert_eq!(Ephemeral::generate().agree(&weak).err(), Some(SessionError::WeakKey));
        }
    }

    #[test]
    fn directions_and_handshakes_have_keys_of_their_own() {
        let codes = |transcript: [u8; 32]| {
            let keys = SessionKeys::derive(&[7; 32], b"salt", &transcript);
            [keys.calls.code(b"m"), keys.answers.code(b"m")]
        };
        let [calls, answers] = codes([1; 32]);
        assert_ne!(calls, answers);
        assert_ne!(calls, codes([2; 32])[0]);
        assert!(SessionKeys::derive(&[7; 32], b"salt", &[1; 32]).calls.holds(b"m", &calls));
        assert!(!SessionKeys::derive(&[7; 32], b"salt", &[1; 32]).calls.holds(b"m", &calls[..31]));
    }

    #[test]
    fn extraction_and_expansion_are_those_of_rfc_5869() {
        // Test case 1: the pseudorandom key, and the first block of the output.
        let salt = HEXLOWER.decode(b"000102030405060708090a0b0c").expect("hex");
        let info = HEXLOWER.decode(b"f0f1f2f3f4f5f6f7f8f9").expect("hex");
        let extracted = hmac(&salt, &[&[0x0b; 22]]);
        assert_eq!(extracted, bytes("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
        let block = hmac(&extracted, &[&info, &[1]]);
        assert_eq!(block, bytes("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
    }
}
