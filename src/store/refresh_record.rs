//! What a store keeps of a refresh token: a record under a digest. The token itself has the entropy of a key
//! (RFC 6749 section 10.10), so that a plain digest tells nobody what it is.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::record::malformed;
use crate::{
    identity::fold_username,
    policy::refresh::{Basis, RefreshRecord},
    step_up::StoreError,
    types::{Secret, UnixTime},
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    subject: Option<String>,
    began_at: u64,
    basis: String,
}

/// The name under which a token's record is kept.
pub(super) fn name(refresh_token: &Secret<String>) -> String {
    HEXLOWER.encode(&Sha256::digest(refresh_token.expose().as_bytes()))
}

pub(super) fn encode(record: &RefreshRecord) -> String {
    let stored = Stored {
        subject: record.subject.as_ref().map(|subject| subject.as_str().to_owned()),
        began_at: record.began_at.as_secs(),
        basis: name_of(record.basis).to_owned(),
    };
    serde_json::json!(stored).to_string()
}

pub(super) fn decode(text: &[u8]) -> Result<RefreshRecord, StoreError> {
    let fault = || malformed("refresh", "its record must be the JSON that the gateway wrote");
    let Stored { subject, began_at, basis: stored } = serde_json::from_slice(text).map_err(|_| fault())?;
    let subject = match subject {
        None => None,
        Some(text) => match fold_username(&text) {
            Ok(subject) if subject.as_str() == text => Some(subject),
            _ => return Err(fault()),
        },
    };
    let known = [Basis::Cleared, Basis::Password, Basis::Passed];
    let basis = known.into_iter().find(|known| name_of(*known) == stored).ok_or_else(fault)?;
    Ok(RefreshRecord { subject, began_at: UnixTime::from_secs(began_at), basis })
}

const fn name_of(basis: Basis) -> &'static str {
    match basis {
        Basis::Cleared => "cleared",
        Basis::Password => "password",
        Basis::Passed => "passed",
    }
}
