//! How a gateway notices that a Redis has lost its data.
//!
//! In an empty Redis nobody is enrolled, and everyone's password would be enough. So the first enrolment leaves a
//! random text there, the process remembers it, and a Redis that comes back without it, or with another, is
//! not used. The lock is taken when a connection is made, never for a request.

use std::sync::{Arc, Mutex, PoisonError};

use redis::{RedisResult, aio::MultiplexedConnection};

use super::{super::record, keys};

pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// What all threads of a process know of the marker.
#[derive(Clone)]
pub(in super::super) struct Marker {
    known: Arc<Mutex<Option<String>>>,
    must_exist: bool,
}

impl Marker {
    /// Nothing is known yet. With `must_exist`, a Redis without a marker is refused even so.
    pub(in super::super) fn new(must_exist: bool) -> Self {
        Self { known: Arc::default(), must_exist }
    }

    /// Refuses a Redis whose data are gone, or others.
    pub(super) async fn check(&self, connection: &mut MultiplexedConnection) -> Result<(), Source> {
        // What was known before Redis was asked: an enrolment may leave the first marker meanwhile.
        let known_before = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found: Option<String> = redis::cmd("GET").arg(keys::MARKER).query_async(connection).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match (known.as_ref(), found) {
            (Some(known), Some(found)) if *known == found => Ok(()),
            (_, None) if known_before.is_none() && !self.must_exist => Ok(()),
            (None, Some(found)) => {
                *known = Some(found);
                Ok(())
            }
            (Some(_), _) | (None, None) => {
                tracing::error!(
                    key = keys::MARKER,
                    "Redis answers, but its data are gone, or others, and nobody would be enrolled: restore them; or, \
                     if that is meant, restart the gateway with [store] must_exist = false"
                );
                Err("its data are gone, or others".into())
            }
        }
    }

    /// Leaves a marker where there is none, and remembers the one that is there.
    pub(super) async fn leave(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let fresh = record::random_factor_id().map_err(|_| {
            redis::RedisError::from(std::io::Error::other("the system gives no random bytes"))
        })?;
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("SET")
            .arg(keys::MARKER)
            .arg(fresh.as_str())
            .arg("NX")
            .ignore()
            .cmd("GET")
            .arg(keys::MARKER);
        let (found,): (Option<String>,) = pipeline.query_async(connection).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = found;
        }
        Ok(())
    }
}
