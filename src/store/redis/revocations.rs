//! Revocations in Redis: two sorted sets, two hashes, one hash tag, one script an operation.
//!
//! Invariants: times are the server's; what is due is handed to one gateway at a time, for its lease; a script
//! that ran twice leaves what one run leaves.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use super::{
    super::{key_file::KeySource, orphan_record},
    RedisStore, keys,
};
use crate::{
    step_up::{DueRevocation, Revocation, RevocationFault, RevocationId, StoreError},
    types::limits::REVOCATIONS_MAX,
};

static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/push_revocation.lua")));
static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/claim_revocations.lua")));
static POSTPONE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/postpone_revocation.lua")));
static FINISH: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/finish_revocation.lua")));

const DUE: &str = keys::REVOCATIONS[0];
const BORN: &str = keys::REVOCATIONS[1];
const ATTEMPTS: &str = keys::REVOCATIONS[3];

impl RedisStore {
    pub(in super::super) async fn push_revocation(
        &self,
        keys: &KeySource,
        revocation: &Revocation,
    ) -> Result<u64, StoreError> {
        let record = orphan_record::seal(keys, revocation)?;
        let mut call = on_all_keys(&PUSH);
        call.arg(revocation.id.as_str()).arg(record).arg(REVOCATIONS_MAX);
        self.servers.write(DUE, async |mut c| call.invoke_async(&mut c).await).await
    }

    pub(in super::super) async fn claim_revocations(
        &self,
        keys: &KeySource,
        lease_secs: u64,
        limit: usize,
    ) -> Result<Vec<DueRevocation>, StoreError> {
        let mut call = on_all_keys(&CLAIM);
        call.arg(lease_secs).arg(limit);
        let claimed: Vec<(String, Vec<u8>, u32, u64)> =
            self.servers.write(DUE, async |mut c| call.invoke_async(&mut c).await).await?;
        let due = claimed.into_iter().map(|(id, record, attempts, age_secs)| {
            let id = RevocationId::from_stored(id);
            let orphan = if record.is_empty() {
                Err(RevocationFault::Malformed("it is missing"))
            } else {
                orphan_record::open(keys, &id, &record)
            };
            DueRevocation { id, attempts, age_secs, orphan }
        });
        Ok(due.collect())
    }

    pub(in super::super) async fn postpone_revocation(
        &self,
        id: &RevocationId,
        delay_secs: u64,
        attempts: u32,
    ) -> Result<(), StoreError> {
        let mut call = POSTPONE.key(DUE);
        call.key(ATTEMPTS).arg(id.as_str()).arg(delay_secs).arg(attempts);
        self.servers.write(DUE, async |mut c| call.invoke_async::<u64>(&mut c).await.map(drop)).await
    }

    pub(in super::super) async fn finish_revocation(&self, id: &RevocationId) -> Result<(), StoreError> {
        let mut call = on_all_keys(&FINISH);
        call.arg(id.as_str());
        self.servers.write(DUE, async |mut c| call.invoke_async::<u64>(&mut c).await.map(drop)).await
    }

    pub(in super::super) async fn revocations(&self) -> Result<u64, StoreError> {
        self.servers.read(BORN, async |mut c| redis::cmd("ZCARD").arg(BORN).query_async(&mut c).await).await
    }
}

fn on_all_keys(script: &'static Script) -> ScriptInvocation<'static> {
    let [first, others @ ..] = keys::REVOCATIONS;
    let mut call = script.key(first);
    for key in others {
        call.key(key);
    }
    call
}
