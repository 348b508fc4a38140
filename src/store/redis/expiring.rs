//! What is kept for a time, in Redis: one string each, which Redis forgets by itself.

use std::sync::LazyLock;

use redis::Script;

use super::{super::Expiring, RedisStore, keys};
use crate::step_up::StoreError;

static REPLACE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/replace.lua")));

impl RedisStore {
    pub(in super::super) async fn put_expiring(
        &self,
        kind: Expiring,
        name: &str,
        record: &str,
        for_secs: u64,
    ) -> Result<(), StoreError> {
        let key = keys::expiring(kind, name);
        let set = async |mut c| {
            redis::cmd("SET").arg(&key).arg(record).arg("EX").arg(for_secs.max(1)).exec_async(&mut c).await
        };
        self.servers.write(&key, set).await
    }

    /// Answers whether what was read was still there.
    pub(in super::super) async fn replace_expiring(
        &self,
        kind: Expiring,
        name: &str,
        read: &[u8],
        record: &str,
        for_secs: u64,
    ) -> Result<bool, StoreError> {
        let key = keys::expiring(kind, name);
        let mut call = REPLACE.key(&key);
        call.arg(read).arg(record).arg(for_secs.max(1));
        self.servers.write(&key, async |mut c| call.invoke_async::<bool>(&mut c).await).await
    }

    pub(in super::super) async fn get_expiring(
        &self,
        kind: Expiring,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = keys::expiring(kind, name);
        self.servers.read(&key, async |mut c| redis::cmd("GET").arg(&key).query_async(&mut c).await).await
    }

    pub(in super::super) async fn remove_expiring(
        &self,
        kind: Expiring,
        name: &str,
    ) -> Result<(), StoreError> {
        let key = keys::expiring(kind, name);
        self.servers.write(&key, async |mut c| redis::cmd("DEL").arg(&key).exec_async(&mut c).await).await
    }
}
