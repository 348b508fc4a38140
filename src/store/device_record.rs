//! What a store keeps of a remembered device: sealed, so that whoever can write to the store can make none.

use serde::{Deserialize, Serialize};

use super::{envelope, record::malformed};
use crate::{
    policy::device::Device,
    sealing::KeyRing,
    step_up::{StoreError, StoredDevice},
    types::{FactorId, SubjectId, UnixTime},
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    client_id: String,
    label: Option<String>,
    digest: String,
    previous: Option<String>,
    created_at: u64,
    used_at: u64,
    forget_at: u64,
}

pub(super) fn seal(
    ring: &KeyRing,
    subject: &SubjectId,
    id: &FactorId,
    device: &Device,
) -> Result<String, StoreError> {
    let hex = |digest: &[u8; 32]| data_encoding::HEXLOWER.encode(digest);
    let content = Content {
        client_id: device.client_id.clone(),
        label: device.label.clone(),
        digest: hex(&device.digest),
        previous: device.previous.as_ref().map(hex),
        created_at: device.created_at.as_secs(),
        used_at: device.used_at.as_secs(),
        forget_at: device.forget_at.as_secs(),
    };
    let plain = serde_json::to_vec(&content).map_err(|error| StoreError::Failed(error.into()))?;
    envelope::seal(ring, &associated_data(subject, id), &plain)
}

pub(super) fn open(
    ring: &KeyRing,
    subject: &SubjectId,
    id: &FactorId,
    raw: Vec<u8>,
) -> Result<StoredDevice, StoreError> {
    let fault = |rule| malformed("device", rule);
    let sealed = envelope::read(&raw).map_err(fault)?;
    let plain = ring
        .open(&associated_data(subject, id), &sealed)
        .map_err(|source| StoreError::Sealed { record: format!("device {id}"), source })?;
    let content: Content = serde_json::from_slice(plain.expose())
        .map_err(|_| fault("what is sealed must be what was sealed"))?;
    let digest = |hex: &str| {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
        bytes.try_into().ok()
    };
    let bad_digest = || fault("a digest must be 64 hexadecimal digits");
    let device = Device {
        client_id: content.client_id,
        label: content.label,
        digest: digest(&content.digest).ok_or_else(bad_digest)?,
        previous: content.previous.map(|hex| digest(&hex).ok_or_else(bad_digest)).transpose()?,
        created_at: UnixTime::from_secs(content.created_at),
        used_at: UnixTime::from_secs(content.used_at),
        forget_at: UnixTime::from_secs(content.forget_at),
    };
    Ok(StoredDevice { id: id.clone(), device, raw })
}

fn associated_data(subject: &SubjectId, id: &FactorId) -> Vec<u8> {
    envelope::associated_data(&[
        b"tfa-gateway device v1",
        subject.as_str().as_bytes(),
        id.as_str().as_bytes(),
    ])
}
