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
        self.connection.write(set).await
    }

    pub(in super::super) async fn get_expiring(
        &self,
        kind: Expiring,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = keys::expiring(kind, name);
        self.connection.read(async |mut c| redis::cmd("GET").arg(&key).query_async(&mut c).await).await
    }

    pub(in super::super) async fn remove_expiring(
        &self,
        kind: Expiring,
        name: &str,
    ) -> Result<(), StoreError> {
        let key = keys::expiring(kind, name);
        self.connection.write(async |mut c| redis::cmd("DEL").arg(&key).exec_async(&mut c).await).await
    }
}
