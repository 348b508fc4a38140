//! Remembered devices in Redis: one hash a subject, under the subject's hash tag.

use std::{collections::BTreeMap, sync::LazyLock};

use redis::Script;

use super::{RedisStore, keys};
use crate::{
    step_up::StoreError,
    types::{FactorId, SubjectId},
};

static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/put_device.lua")));

impl RedisStore {
    pub(in super::super) async fn device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = keys::devices(subject);
        let get = async |mut c| redis::cmd("HGET").arg(&key).arg(id.as_str()).query_async(&mut c).await;
        self.connection.read(get).await
    }

    pub(in super::super) async fn devices(
        &self,
        subject: &SubjectId,
    ) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        self.hash(&keys::devices(subject)).await
    }

    /// Writes a device if there is still what was read.
    pub(in super::super) async fn put_device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        read: Option<&[u8]>,
        record: &str,
        for_secs: u64,
    ) -> Result<bool, StoreError> {
        let mut call = PUT.key(keys::devices(subject));
        call.key(keys::enrolment(subject));
        call.arg(id.as_str()).arg(read.unwrap_or_default()).arg(record).arg(for_secs.max(1));
        self.connection.write(async |mut c| call.invoke_async(&mut c).await).await
    }

    pub(in super::super) async fn forget_devices(
        &self,
        subject: &SubjectId,
        id: Option<&FactorId>,
    ) -> Result<usize, StoreError> {
        let key = keys::devices(subject);
        let ids = match id {
            Some(id) => vec![id.as_str().to_owned()],
            None => self.devices(subject).await?.into_keys().collect(),
        };
        if ids.is_empty() {
            return Ok(0);
        }
        self.connection
            .write(async |mut c| redis::cmd("HDEL").arg(&key).arg(&ids).query_async(&mut c).await)
            .await
    }
}
