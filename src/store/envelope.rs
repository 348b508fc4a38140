//! JSON around what is sealed whole: `{"v":1,"kid":…,"nonce":…,"sealed":…}`.

use serde::{Deserialize, Serialize};

use crate::{
    sealing::{KeyId, KeyRing, NONCE_BYTES, Sealed},
    step_up::{EditDenial, StoreError},
};

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    v: u8,
    kid: String,
    nonce: String,
    sealed: String,
}

/// Seals with the current key and a fresh nonce.
pub(crate) fn seal(ring: &KeyRing, associated_data: &[u8], plain: &[u8]) -> Result<String, StoreError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| StoreError::Failed(error.into()))?;
    let sealed = ring.seal(associated_data, nonce, plain).ok_or(EditDenial::TooLong)?;
    let envelope = Envelope {
        v: VERSION,
        kid: sealed.key_id.as_str().into(),
        nonce: data_encoding::BASE64.encode(&sealed.nonce),
        sealed: data_encoding::BASE64.encode(&sealed.ciphertext),
    };
    serde_json::to_string(&envelope).map_err(|error| StoreError::Failed(error.into()))
}

/// What is in the envelope, still sealed, or the rule that it breaks.
pub(crate) fn read(text: &[u8]) -> Result<Sealed, &'static str> {
    let envelope: Envelope =
        serde_json::from_slice(text).map_err(|_| "it must be the JSON of docs/redis.md")?;
    if envelope.v != VERSION {
        return Err("v must be 1: a newer gateway may have written it");
    }
    Ok(Sealed {
        key_id: KeyId::parse(&envelope.kid).ok_or("kid must be a key id")?,
        nonce: data_encoding::BASE64
            .decode(envelope.nonce.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or("nonce must be base64 of 24 bytes")?,
        ciphertext: data_encoding::BASE64
            .decode(envelope.sealed.as_bytes())
            .map_err(|_| "sealed must be base64")?,
    })
}

/// Parts, each with its length before it, so that no two lists of parts are the same bytes.
pub(crate) fn associated_data(parts: &[&[u8]]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(128);
    for part in parts {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}
