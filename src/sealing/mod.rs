//! Layer 1: secrets at rest. Pure: nonces and keys are arguments.
//!
//! Invariants: a sealed secret opens only for the subject, the factor and the public parameters it was
//! sealed for (they are the associated data), and only with the key that its record names. What does
//! not open is an error; it is never an empty secret.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): its 192-bit nonces may be drawn at random for as
//! long as a key lives, so gateways that share a key need not count.

use std::fmt;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::types::Secret;

/// Bytes of a sealing key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;

/// The name of a sealing key: 1 to 32 of `a-z`, `0-9`, `-` and `_`.
#[derive(Clone, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// `None` when the text does not keep the rule of [`KeyId`].
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        (!text.is_empty() && text.len() <= 32 && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret as it lies in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key that opens it.
    pub key_id: KeyId,
    /// Drawn at random for this one sealing.
    pub nonce: [u8; NONCE_BYTES],
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Why a sealed secret stays closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// The record names a key that is not in the key file.
    #[error("it is sealed with key '{0}', which is not in the key file")]
    UnknownKey(KeyId),
    /// Altered, truncated, or moved from where it belongs.
    #[error("it does not open with key '{0}': it was altered, or sealed for something else")]
    NotAuthentic(KeyId),
}

/// The keys of a key file: all of them open, the current one seals.
#[derive(Clone)]
pub struct KeyRing {
    current: (KeyId, Secret<[u8; KEY_BYTES]>),
    others: Vec<(KeyId, Secret<[u8; KEY_BYTES]>)>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<_> = self.others.iter().map(|(id, _)| id.as_str()).collect();
        f.debug_struct("KeyRing").field("current", &self.current.0.as_str()).field("others", &others).finish()
    }
}

impl KeyRing {
    /// A ring that seals with `current` and opens with any of its keys. Ids must differ.
    pub fn new(
        current: (KeyId, Secret<[u8; KEY_BYTES]>),
        others: Vec<(KeyId, Secret<[u8; KEY_BYTES]>)>,
    ) -> Self {
        Self { current, others }
    }

    /// The id of the key that seals.
    pub const fn current_id(&self) -> &KeyId {
        &self.current.0
    }

    /// All keys, the current one first. For writing the key file only.
    pub fn keys(&self) -> impl Iterator<Item = &(KeyId, Secret<[u8; KEY_BYTES]>)> {
        std::iter::once(&self.current).chain(&self.others)
    }

    /// Seals `plaintext` with the current key, bound to `associated_data`.
    pub fn seal(&self, associated_data: &[u8], nonce: [u8; NONCE_BYTES], plaintext: &[u8]) -> Option<Sealed> {
        let (key_id, key) = &self.current;
        let ciphertext = cipher(key)
            .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: associated_data })
            .ok()?;
        Some(Sealed { key_id: key_id.clone(), nonce, ciphertext })
    }

    /// Opens what [`KeyRing::seal`] made, given the same associated data.
    pub fn open(&self, associated_data: &[u8], sealed: &Sealed) -> Result<Secret<Vec<u8>>, SealingError> {
        let (_, key) = self
            .keys()
            .find(|(id, _)| *id == sealed.key_id)
            .ok_or_else(|| SealingError::UnknownKey(sealed.key_id.clone()))?;
        cipher(key)
            .decrypt(&XNonce::from(sealed.nonce), Payload { msg: &sealed.ciphertext, aad: associated_data })
            .map(Secret::new)
            .map_err(|_| SealingError::NotAuthentic(sealed.key_id.clone()))
    }

    /// A keyed digest that tells equal wrong passcodes apart from others without keeping them: with
    /// 10^6 possible codes, an unkeyed one would be as good as the code itself.
    pub fn fingerprint(&self, subject: &str, passcode: &[u8]) -> Fingerprint {
        const PURPOSE: &[u8] = b"tfa-gateway passcode fingerprint v1";
        let mut mac = keyed(self.current.1.expose());
        for part in [PURPOSE, subject.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.update(passcode);
        let digest = mac.finalize().into_bytes();
        let mut kept = [0; 16];
        kept.copy_from_slice(&digest[..16]);
        Fingerprint(kept)
    }
}

fn cipher(key: &Secret<[u8; KEY_BYTES]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    <Hmac<Sha256> as hmac::KeyInit>::new(&(*key).into_padded())
}

/// HMAC-SHA-256 takes a block of 64 bytes; a shorter key is padded with zeros (RFC 2104 section 2).
trait IntoPadded {
    fn into_padded(self) -> hmac::digest::Key<Hmac<Sha256>>;
}

impl IntoPadded for [u8; KEY_BYTES] {
    fn into_padded(self) -> hmac::digest::Key<Hmac<Sha256>> {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..KEY_BYTES].copy_from_slice(&self);
        block
    }
}

/// A keyed digest of a passcode: 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// 32 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, byte: u8) -> (KeyId, Secret<[u8; KEY_BYTES]>) {
        (KeyId::parse(name).unwrap(), Secret::new([byte; KEY_BYTES]))
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_subject_only() {
        let ring = KeyRing::new(key("a", 1), vec![]);
        let sealed = ring.seal(b"alice/f1", [7; NONCE_BYTES], b"secret").unwrap();
        assert_eq!(ring.open(b"alice/f1", &sealed).unwrap().expose(), b"secret");
        let moved = ring.open(b"bob/f1", &sealed).unwrap_err();
        assert_eq!(moved, SealingError::NotAuthentic(KeyId::parse("a").unwrap()));
    }

    #[test]
    fn an_older_key_still_opens_and_an_absent_one_is_named() {
        let sealed = KeyRing::new(key("a", 1), vec![]).seal(b"x", [7; NONCE_BYTES], b"secret").unwrap();
        let rotated = KeyRing::new(key("b", 2), vec![key("a", 1)]);
        assert_eq!(rotated.open(b"x", &sealed).unwrap().expose(), b"secret");
        let lost = KeyRing::new(key("b", 2), vec![]).open(b"x", &sealed).unwrap_err();
        assert_eq!(lost, SealingError::UnknownKey(KeyId::parse("a").unwrap()));
    }

    #[test]
    fn one_flipped_bit_anywhere_keeps_it_closed() {
        let ring = KeyRing::new(key("a", 1), vec![]);
        let sealed = ring.seal(b"x", [7; NONCE_BYTES], b"secret").unwrap();
        for index in 0..sealed.ciphertext.len() {
            let mut altered = sealed.clone();
            altered.ciphertext[index] ^= 1;
            assert!(ring.open(b"x", &altered).is_err(), "byte {index}");
        }
    }

    #[test]
    fn keys_do_not_print_themselves() {
        let printed = format!("{:?}", KeyRing::new(key("a", 1), vec![key("b", 2)]));
        assert_eq!(printed, r#"KeyRing { current: "a", others: ["b"] }"#);
    }

    #[test]
    fn fingerprints_differ_by_subject_and_passcode() {
        let ring = KeyRing::new(key("a", 1), vec![]);
        let one = ring.fingerprint("alice", b"123456");
        assert_eq!(one, ring.fingerprint("alice", b"123456"));
        assert_ne!(one, ring.fingerprint("alice", b"123457"));
        assert_ne!(one, ring.fingerprint("alicf", b"123456"));
    }
}
