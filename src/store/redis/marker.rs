//! How a gateway notices that a Redis has lost its data.
//!
//! In an empty Redis nobody is enrolled, and everyone's password would be enough. So the first enrolment leaves a
//! random text there, the process remembers it, and a Redis that comes back without it, or with another, is
//! not used. In a cluster each part of the slots has a text of its own, so that it is noticed of one master, too.
//! The lock is taken when a connection is made, never for a request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{join_all, try_join_all};
use redis::{RedisResult, aio::ConnectionLike};

use super::{
    super::record,
    breaker::Returns,
    fault::{Fault, Instead},
};

pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// What all threads of a process know of the markers, and of what is back.
#[derive(Clone)]
pub(in super::super) struct Marker {
    /// The text of each, by its key.
    known: Arc<Mutex<BTreeMap<String, String>>>,
    must_exist: bool,
    pub(super) returns: Returns,
}

impl Marker {
    /// Nothing is known yet. With `must_exist`, a Redis without a marker is refused even so.
    pub(in super::super) fn new(must_exist: bool) -> Self {
        Self { known: Arc::default(), must_exist, returns: Returns::default() }
    }

    /// Whether one was found, or left.
    pub(in super::super) fn is_known(&self) -> bool {
        !self.known().is_empty()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a Redis whose data are gone, or others: all of these keys are looked at.
    pub(super) async fn check<C>(&self, connection: &C, keys: &[String]) -> Result<(), Source>
    where
        C: ConnectionLike + Clone,
    {
        // What was known before Redis was asked: an enrolment may leave the first marker meanwhile.
        let known_before = self.known().clone();
        let found = join_all(keys.iter().map(async |key| {
            let mut connection = connection.clone();
            redis::cmd("GET").arg(key).query_async::<Option<String>>(&mut connection).await
        }));
        let found = found.await;
        for (key, found) in keys.iter().zip(found) {
            match found {
                Ok(found) => self.compare(key, found, known_before.get(key))?,
                Err(error) if is_elsewhere(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn compare(&self, key: &str, found: Option<String>, known_before: Option<&String>) -> Result<(), Source> {
        let mut known = self.known();
        match (known.get(key), found) {
            (Some(known), Some(found)) if *known == found => Ok(()),
            (_, None) if known_before.is_none() && !self.must_exist => Ok(()),
            (None, Some(found)) => {
                known.insert(key.to_owned(), found);
                Ok(())
            }
            (Some(_), _) | (None, None) => {
                tracing::error!(
                    key,
                    "Redis answers, but its data are gone, or others, and nobody would be enrolled: restore them; or, \
                     if that is meant, restart the gateway with [store] must_exist = false"
                );
                Err("its data are gone, or others".into())
            }
        }
    }

    /// Leaves a marker where there is none, and remembers the one that is there.
    pub(super) async fn leave<C>(&self, connection: &C, keys: &[String]) -> RedisResult<()>
    where
        C: ConnectionLike + Clone,
    {
        let left = try_join_all(keys.iter().map(async |key| {
            let fresh = record::random_factor_id().map_err(|_| {
                redis::RedisError::from(std::io::Error::other("the system gives no random bytes"))
            })?;
            let (mut setting, mut getting) = (connection.clone(), connection.clone());
            let (mut set, mut get) = (redis::cmd("SET"), redis::cmd("GET"));
            set.arg(key).arg(fresh.as_str()).arg("NX");
            get.arg(key);
            set.exec_async(&mut setting).await?;
            get.query_async::<Option<String>>(&mut getting).await
        }));
        let left = left.await?;
        let mut known = self.known();
        for (key, found) in keys.iter().zip(left) {
            if let Some(found) = found {
                known.entry(key.clone()).or_insert(found);
            }
        }
        Ok(())
    }
}

/// Whether the slot of a marker is on its way to another node, and the marker is there already: that node answers
/// for it. Nothing else excuses: a node whose cluster is down, or that says `MOVED`, has not shown its data.
fn is_elsewhere(error: &redis::RedisError) -> bool {
    matches!(Fault::of(error), Fault::NotRun(Instead::Ask(_)))
}
