//! What a store keeps of a recovery code: a salted digest, sealed.
//!
//! Sealed, so that whoever can write to the store can neither make a code of their own nor move one; a digest, so
//! that not even the sealing keys give a code away. A code has 80 bits, for which a plain digest is enough; the
//! salt keeps codes that were taken over from elsewhere, which may be shorter, from being looked up in a table.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{envelope, record::malformed};
use crate::{
    factor::{PresentedRecoveryCode, RecoveryCode},
    sealing::{KeyId, KeyRing},
    step_up::{EditDenial, StoreError},
    types::{FactorId, Secret, SubjectId},
};

const SALT_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;

/// Salts, digests and seals a code.
pub(super) fn seal(
    ring: &KeyRing,
    subject: &SubjectId,
    id: &FactorId,
    code: &PresentedRecoveryCode,
) -> Result<String, StoreError> {
    let mut plain = [0; SALT_BYTES + DIGEST_BYTES];
    getrandom::fill(&mut plain[..SALT_BYTES]).map_err(|error| StoreError::Failed(error.into()))?;
    let digest = digest(&plain[..SALT_BYTES], code);
    plain[SALT_BYTES..].copy_from_slice(&digest);
    seal_digest(ring, subject, id, &plain)
}

/// Seals the salt and the digest of a code that another gateway kept.
pub(super) fn seal_digest(
    ring: &KeyRing,
    subject: &SubjectId,
    id: &FactorId,
    salted: &[u8],
) -> Result<String, StoreError> {
    if salted.len() != SALT_BYTES + DIGEST_BYTES {
        return Err(EditDenial::BadDigest.into());
    }
    envelope::seal(ring, &associated_data(subject, id), salted)
}

/// Whether what was presented is this code. The comparison takes the same time either way.
pub(super) fn fits(
    ring: &KeyRing,
    subject: &SubjectId,
    code: &RecoveryCode,
    presented: &PresentedRecoveryCode,
) -> Result<bool, StoreError> {
    let plain = open(ring, subject, &code.id, &code.record)?;
    let (salt, kept) = plain
        .expose()
        .split_at_checked(SALT_BYTES)
        .ok_or_else(|| malformed(code.id.as_str(), "what is sealed must be a salt and a digest"))?;
    Ok(digest(salt, presented).ct_eq(kept).into())
}

/// Seals it again, with the current key, if it is sealed with another.
pub(super) fn reseal(
    ring: &KeyRing,
    subject: &SubjectId,
    id: &FactorId,
    record: &[u8],
) -> Result<Option<String>, StoreError> {
    if key_id(id, record)? == *ring.current_id() {
        return Ok(None);
    }
    let plain = open(ring, subject, id, record)?;
    envelope::seal(ring, &associated_data(subject, id), plain.expose()).map(Some)
}

/// The key that it is sealed with.
pub(super) fn key_id(id: &FactorId, record: &[u8]) -> Result<KeyId, StoreError> {
    envelope::read(record).map(|sealed| sealed.key_id).map_err(|rule| malformed(id.as_str(), rule))
}

/// Opens the salt and the digest.
pub(super) fn open(
    ring: &KeyRing,
    subject: &SubjectId,
    id: &FactorId,
    record: &[u8],
) -> Result<Secret<Vec<u8>>, StoreError> {
    let sealed = envelope::read(record).map_err(|rule| malformed(id.as_str(), rule))?;
    ring.open(&associated_data(subject, id), &sealed)
        .map_err(|source| StoreError::Sealed { record: id.to_string(), source })
}

fn digest(salt: &[u8], code: &PresentedRecoveryCode) -> [u8; DIGEST_BYTES] {
    Sha256::new().chain_update(salt).chain_update(code.expose()).finalize().into()
}

fn associated_data(subject: &SubjectId, id: &FactorId) -> Vec<u8> {
    envelope::associated_data(&[
        b"tfa-gateway recovery code v1",
        subject.as_str().as_bytes(),
        id.as_str().as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::fold_username, sealing::KEY_BYTES};

    fn ring(name: &str) -> KeyRing {
        let keys =
            ["k1", "k2"].map(|id| (KeyId::parse(id).unwrap(), Secret::new([id.as_bytes()[1]; KEY_BYTES])));
        let (current, others) = keys.into_iter().partition::<Vec<_>, _>(|(id, _)| id.as_str() == name);
        KeyRing::new(current.into_iter().next().unwrap(), others)
    }

    #[test]
    fn a_code_fits_itself_for_its_own_subject_and_under_its_own_name_only() {
        let (alice, id) = (fold_username("alice").unwrap(), FactorId::parse("a-1").unwrap());
        let code = |text: &str| PresentedRecoveryCode::parse(text.as_bytes()).unwrap();
        let record = seal(&ring("k1"), &alice, &id, &code("0123-4567-89ab-cdef")).unwrap();
        assert!(!record.contains("0123"));
        let kept = RecoveryCode { id: id.clone(), record: record.as_bytes().into() };
        assert!(fits(&ring("k1"), &alice, &kept, &code("0123456789ABCDEF")).unwrap());
        assert!(!fits(&ring("k1"), &alice, &kept, &code("0123456789ABCDEG")).unwrap());
        let bob = fold_username("bob").unwrap();
        assert!(fits(&ring("k1"), &bob, &kept, &code("0123456789ABCDEF")).is_err());
        let moved = RecoveryCode { id: FactorId::parse("a-2").unwrap(), ..kept.clone() };
        assert!(fits(&ring("k1"), &alice, &moved, &code("0123456789ABCDEF")).is_err());

        assert_eq!(reseal(&ring("k1"), &alice, &id, record.as_bytes()).unwrap(), None);
        let resealed = reseal(&ring("k2"), &alice, &id, record.as_bytes()).unwrap().unwrap();
        assert_eq!(key_id(&id, resealed.as_bytes()).unwrap().as_str(), "k2");
        let kept = RecoveryCode { id, record: resealed.as_bytes().into() };
        assert!(fits(&ring("k2"), &alice, &kept, &code("0123456789abcdef")).unwrap());
    }

    #[test]
    fn what_is_sealed_is_a_digest_with_a_salt_of_its_own() {
        let (alice, id) = (fold_username("alice").unwrap(), FactorId::parse("a-1").unwrap());
        let code = PresentedRecoveryCode::parse(b"0123-4567-89ab-cdef").unwrap();
        let sealed = || {
            let record = seal(&ring("k1"), &alice, &id, &code).unwrap();
            open(&ring("k1"), &alice, &id, record.as_bytes()).unwrap().expose().clone()
        };
        let (one, other) = (sealed(), sealed());
        for plain in [&one, &other] {
            let (salt, kept) = plain.split_at(SALT_BYTES);
            let expected = Sha256::digest([salt, code.expose()].concat());
            assert_eq!(kept, expected.as_slice());
        }
        assert_ne!(one[..SALT_BYTES], other[..SALT_BYTES]);
        assert_ne!(one[SALT_BYTES..], other[SALT_BYTES..]);
    }
}
