//! What a store keeps of a session: sealed, so that whoever can write to the store cannot sign in as somebody.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{envelope, fields, record::malformed};
use crate::{
    identity::fold_username,
    sealing::KeyRing,
    step_up::{Session, StoreError},
    types::{Secret, UnixTime},
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    subject: String,
    verified_beside: Vec<String>,
    proposed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<u64>,
    changes: u32,
    began_at: u64,
    renewed_at: u64,
    form_token: String,
}

/// The name under which a session is kept. The secret has the entropy of a key, so that a plain digest tells nobody
/// what it is.
pub(super) fn name(secret: &Secret<String>) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.expose().as_bytes()))
}

pub(super) fn seal(ring: &KeyRing, name: &str, session: &Session) -> Result<String, StoreError> {
    let content = Content {
        subject: session.subject.as_str().to_owned(),
        verified_beside: session.verified_beside.iter().map(ToString::to_string).collect(),
        proposed: session.proposed.iter().map(ToString::to_string).collect(),
        confirmed_at: session.confirmed_at.map(UnixTime::as_secs),
        changes: session.changes,
        began_at: session.began_at.as_secs(),
        renewed_at: session.renewed_at.as_secs(),
        form_token: session.form_token.expose().clone(),
    };
    let plain =
        Zeroizing::new(serde_json::to_vec(&content).map_err(|error| StoreError::Failed(error.into()))?);
    envelope::seal(ring, &associated_data(name), &plain)
}

pub(super) fn open(ring: &KeyRing, name: &str, record: &[u8]) -> Result<Session, StoreError> {
    let fault = |rule| malformed("session", rule);
    let sealed = envelope::read(record).map_err(fault)?;
    let plain = ring
        .open(&associated_data(name), &sealed)
        .map_err(|source| StoreError::Sealed { record: "session".to_owned(), source })?;
    // One of an older version is over.
    let content: Content = serde_json::from_slice(plain.expose())
        .map_err(|_| fault("what is sealed must be what was sealed"))?;
    let factors = |ids: &[String]| ids.iter().map(|id| fields::parse_id(id)).collect::<Result<Vec<_>, _>>();
    Ok(Session {
        subject: fold_username(&content.subject)
            .map_err(|_| fault("its subject must be a folded user name"))?,
        verified_beside: factors(&content.verified_beside)?,
        proposed: factors(&content.proposed)?,
        confirmed_at: content.confirmed_at.map(UnixTime::from_secs),
        changes: content.changes,
        began_at: UnixTime::from_secs(content.began_at),
        renewed_at: UnixTime::from_secs(content.renewed_at),
        form_token: Secret::new(content.form_token),
    })
}

fn associated_data(name: &str) -> Vec<u8> {
    envelope::associated_data(&[b"tfa-gateway session v2", name.as_bytes()])
}
