//! A subject's ledger as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::record::malformed;
use crate::{
    policy::lockout::{Failure, Ledger, UsedStep},
    step_up::StoreError,
    types::{FactorId, UnixTime},
};

/// A subject's attempts with recovery codes, added to a file that a version without them wrote.
pub(super) const SCHEMA: &str = "
    CREATE TABLE recovery_ledger (
        subject TEXT PRIMARY KEY,
        state TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// When, and of which passcode.
    failures: Vec<(u64, String)>,
    failures_in_a_row: u32,
    locks_in_a_row: u32,
    locked_until: u64,
    /// By factor: step, and when it may be forgotten.
    used: BTreeMap<String, (u64, u64)>,
}

pub(super) fn encode(ledger: &Ledger) -> String {
    let state = State {
        failures: ledger.failures.iter().map(|f| (f.at.as_secs(), f.fingerprint.clone())).collect(),
        failures_in_a_row: ledger.failures_in_a_row,
        locks_in_a_row: ledger.locks_in_a_row,
        locked_until: ledger.locked_until.as_secs(),
        used: ledger
            .used
            .iter()
            .map(|(factor, used)| (factor.as_str().to_owned(), (used.step, used.forget_at.as_secs())))
            .collect(),
    };
    serde_json::json!(state).to_string()
}

pub(super) fn decode(text: &str) -> Result<Ledger, StoreError> {
    let fault = || malformed("ledger", "its state must be the JSON that the gateway wrote");
    let state: State = serde_json::from_str(text).map_err(|_| fault())?;
    let mut ledger = Ledger {
        failures: state
            .failures
            .into_iter()
            .map(|(at, fingerprint)| Failure { at: UnixTime::from_secs(at), fingerprint })
            .collect(),
        failures_in_a_row: state.failures_in_a_row,
        locks_in_a_row: state.locks_in_a_row,
        locked_until: UnixTime::from_secs(state.locked_until),
        used: BTreeMap::new(),
    };
    for (factor, (step, forget_at)) in state.used {
        let factor = FactorId::parse(&factor).map_err(|_| fault())?;
        ledger.used.insert(factor, UsedStep { step, forget_at: UnixTime::from_secs(forget_at) });
    }
    Ok(ledger)
}
