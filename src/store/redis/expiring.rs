//! What is kept for a time, in Redis: one string each, which Redis forgets by itself.

use super::{super::Expiring, RedisStore, keys};
use crate::step_up::StoreError;

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

    /// Answers whether there was one to replace.
    pub(in super::super) async fn replace_expiring(
        &self,
        kind: Expiring,
        name: &str,
        record: &str,
        for_secs: u64,
    ) -> Result<bool, StoreError> {
        let key = keys::expiring(kind, name);
        let set = async |mut c| {
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(record).arg("EX").arg(for_secs.max(1)).arg("XX");
            set.query_async::<Option<String>>(&mut c).await
        };
        Ok(self.servers.write(&key, set).await?.is_some())
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
