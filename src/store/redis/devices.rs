//! Remembered devices in Redis: one hash a subject, under the subject's hash tag.

use std::{collections::BTreeMap, sync::LazyLock};

use redis::Script;

use super::{super::devices::Put, RedisStore, keys};
use crate::{
    step_up::StoreError,
    types::{FactorId, SubjectId, limits::DEVICES_MAX},
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
        self.servers.read(&key, get).await
    }

    pub(in super::super) async fn devices(
        &self,
        subject: &SubjectId,
    ) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        self.servers.hash(&keys::devices(subject)).await
    }

    /// Writes a device if there is still what was read, and the field of the factor, if one is named.
    pub(in super::super) async fn put_device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        put: &Put<'_>,
    ) -> Result<bool, StoreError> {
        let key = keys::devices(subject);
        let mut call = PUT.key(&key);
        call.key(keys::enrolment(subject));
        call.arg(id.as_str())
            .arg(put.read.unwrap_or_default())
            .arg(&put.record)
            .arg(put.now.secs_until(put.forget_at).max(1));
        call.arg(put.factor.as_deref().unwrap_or_default()).arg(DEVICES_MAX);
        call.arg(put.over.len()).arg(&put.over).arg(&put.older);
        let put = async |mut c| call.invoke_async::<bool>(&mut c).await;
        // One that is spent must stay so, like a passcode.
        self.servers.write_for_good(&key, put, |done| *done).await
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
        let forget = async |mut c| redis::cmd("HDEL").arg(&key).arg(&ids).query_async::<usize>(&mut c).await;
        self.servers.write_for_good(&key, forget, |count| *count > 0).await
    }
}
