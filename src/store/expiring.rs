//! What is kept for a time: refresh tokens that were let out, and sessions.

use super::{Backend, Store, refresh_record, session_record};
use crate::{
    policy::refresh::RefreshRecord,
    step_up::{RefreshRegistry, Session, SessionStore, StoreError, StoredSession},
    types::{Secret, UnixTime},
};

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiring {
    /// A refresh token that was let out.
    Refresh,
    /// Somebody who has signed in.
    Session,
}

impl Store {
    async fn put_expiring(
        &self,
        kind: Expiring,
        name: String,
        record: String,
        for_secs: u64,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.put_expiring(kind, &name, &record, for_secs).await,
            Backend::Embedded(store) => store.put_expiring(kind, name, record, for_secs, now).await,
        }
    }

    /// The same in the place of what was read, if that is still there. Answers whether it was.
    async fn replace_expiring(
        &self,
        kind: Expiring,
        name: String,
        read: &[u8],
        record: String,
        for_secs: u64,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.replace_expiring(kind, &name, read, &record, for_secs).await,
            Backend::Embedded(store) => {
                store.replace_expiring(kind, name, read.to_vec(), record, for_secs, now).await
            }
        }
    }

    async fn get_expiring(
        &self,
        kind: Expiring,
        name: String,
        now: UnixTime,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.get_expiring(kind, &name).await,
            Backend::Embedded(store) => store.get_expiring(kind, name, now).await,
        }
    }
}

impl RefreshRegistry for Store {
    async fn remember(
        &self,
        refresh_token: &Secret<String>,
        record: &RefreshRecord,
        for_secs: u64,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (name, record) = (refresh_record::name(refresh_token), refresh_record::encode(record));
        self.put_expiring(Expiring::Refresh, name, record, for_secs, now).await
    }

    async fn recall(
        &self,
        refresh_token: &Secret<String>,
        now: UnixTime,
    ) -> Result<Option<RefreshRecord>, StoreError> {
        let found = self.get_expiring(Expiring::Refresh, refresh_record::name(refresh_token), now).await?;
        found.map(|record| refresh_record::decode(&record)).transpose()
    }
}

impl SessionStore for Store {
    async fn begin_session(
        &self,
        secret: &Secret<String>,
        session: &Session,
        for_secs: u64,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let name = session_record::name(secret);
        let record = self.keys.with(|ring| session_record::seal(ring, &name, session))?;
        self.put_expiring(Expiring::Session, name, record, for_secs, now).await
    }

    async fn go_on_with_session(
        &self,
        secret: &Secret<String>,
        read: &StoredSession,
        session: &Session,
        for_secs: u64,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let name = session_record::name(secret);
        let record = self.keys.with(|ring| session_record::seal(ring, &name, session))?;
        self.replace_expiring(Expiring::Session, name, &read.raw, record, for_secs, now).await
    }

    async fn session(
        &self,
        secret: &Secret<String>,
        now: UnixTime,
    ) -> Result<Option<StoredSession>, StoreError> {
        let name = session_record::name(secret);
        let Some(raw) = self.get_expiring(Expiring::Session, name.clone(), now).await? else {
            return Ok(None);
        };
        let session = self.keys.opening(|ring| session_record::open(ring, &name, &raw))?;
        Ok(Some(StoredSession { session, raw }))
    }

    async fn end_session(&self, secret: &Secret<String>) -> Result<(), StoreError> {
        let name = session_record::name(secret);
        match &self.backend {
            Backend::Redis(store) => store.remove_expiring(Expiring::Session, &name).await,
            Backend::Embedded(store) => store.remove_expiring(Expiring::Session, name).await,
        }
    }
}
