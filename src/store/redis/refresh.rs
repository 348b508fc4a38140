//! What is remembered of refresh tokens, in Redis: one string each, which Redis forgets by itself.

use super::{RedisStore, keys};
use crate::step_up::StoreError;

impl RedisStore {
    pub(in super::super) async fn remember_refresh(
        &self,
        name: &str,
        record: &str,
        for_secs: u64,
    ) -> Result<(), StoreError> {
        let key = keys::refresh(name);
        let set = async |mut c| {
            redis::cmd("SET").arg(&key).arg(record).arg("EX").arg(for_secs.max(1)).exec_async(&mut c).await
        };
        self.connection.write(set).await
    }

    pub(in super::super) async fn recall_refresh(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = keys::refresh(name);
        self.connection.read(async |mut c| redis::cmd("GET").arg(&key).query_async(&mut c).await).await
    }
}
