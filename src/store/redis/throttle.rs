//! How often clients ask, in Redis: one number each, which Redis forgets by itself.

use std::{net::IpAddr, sync::LazyLock};

use redis::Script;

use super::{RedisStore, keys};
use crate::{policy::throttle::Throttle, step_up::StoreError};

static PASS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/throttle.lua")));

impl RedisStore {
    /// Milliseconds to wait.
    pub(in super::super) async fn pass(&self, client: IpAddr, throttle: Throttle) -> Result<u64, StoreError> {
        let key = keys::throttle(client);
        let mut call = PASS.key(&key);
        call.arg(throttle.interval_ms()).arg(throttle.tolerance_ms());
        self.servers.write(&key, async |mut c| call.invoke_async(&mut c).await).await
    }
}
