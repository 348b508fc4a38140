//! One event of the audit trail, as both stores keep it: JSON.

use serde::{Deserialize, Serialize};

use super::record::malformed;
use crate::{
    identity::fold_username,
    step_up::{Actor, ChangeKind, StoreError, TrailEvent},
    types::UnixTime,
};

#[derive(Serialize, Deserialize)]
struct Stored {
    at: u64,
    actor: String,
    change: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<String>,
}

pub(super) fn encode(event: &TrailEvent) -> String {
    let TrailEvent { at, actor, change, subject, object } = event;
    let stored = Stored {
        at: at.as_secs(),
        actor: actor.as_str().to_owned(),
        change: change.as_str().to_owned(),
        subject: subject.as_ref().map(|subject| subject.as_str().to_owned()),
        object: object.clone(),
    };
    serde_json::json!(stored).to_string()
}

pub(super) fn decode(text: &[u8]) -> Result<TrailEvent, StoreError> {
    let fault = || malformed("audit", "its event must be the JSON that the gateway wrote");
    let Stored { at, actor, change, subject, object } = serde_json::from_slice(text).map_err(|_| fault())?;
    let subject = subject.map(|subject| fold_username(&subject)).transpose().map_err(|_| fault())?;
    Ok(TrailEvent {
        at: UnixTime::from_secs(at),
        actor: Actor::from_stored(actor),
        change: ChangeKind::parse(&change).ok_or_else(fault)?,
        subject,
        object,
    })
}
