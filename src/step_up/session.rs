//! Sessions of people who have signed in to the gateway's own pages.

use std::future::Future;

use super::StoreError;
use crate::types::{FactorId, Secret, SubjectId, UnixTime};

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who.
    pub subject: SubjectId,
    /// The factors that there were when one of them was verified, in this session or to begin it; none where nothing
    /// but a password was shown. When one of them is gone, somebody had a reason, and the session is over.
    pub verified_beside: Vec<FactorId>,
    /// The factors that were proposed in this session: their secrets are shown here and nowhere else.
    pub proposed: Vec<FactorId>,
    /// When a factor was confirmed in it for the last time.
    pub confirmed_at: Option<UnixTime>,
    /// Changes that were made in it.
    pub changes: u32,
    /// When it began.
    pub began_at: UnixTime,
    /// When its end was last put off.
    pub renewed_at: UnixTime,
    /// What every form of the session must send along: no other site's page knows it.
    pub form_token: Secret<String>,
}

impl Session {
    /// Whether a factor was verified.
    pub const fn is_verified(&self) -> bool {
        !self.verified_beside.is_empty()
    }
}

/// A session as it was read, with what it must still be when it goes on.
#[derive(Debug, Clone)]
pub struct StoredSession {
    /// The session.
    pub session: Session,
    /// As it lies in the store.
    pub raw: Vec<u8>,
}

/// Where sessions are kept, under a digest of the secret that the browser holds.
pub trait SessionStore {
    /// Keeps a new session for so many seconds from now.
    fn begin_session(
        &self,
        secret: &Secret<String>,
        session: &Session,
        for_secs: u64,
        now: UnixTime,
    ) -> impl Future<Output = Result<(), StoreError>>;
    /// Keeps a session in the place of what was read, for so many seconds from now, if that is still there: one that
    /// was ended meanwhile stays so, and what another request wrote meanwhile is not undone. Answers whether it was
    /// there.
    fn go_on_with_session(
        &self,
        secret: &Secret<String>,
        read: &StoredSession,
        session: &Session,
        for_secs: u64,
        now: UnixTime,
    ) -> impl Future<Output = Result<bool, StoreError>>;
    /// The session, unless it is over.
    fn session(
        &self,
        secret: &Secret<String>,
        now: UnixTime,
    ) -> impl Future<Output = Result<Option<StoredSession>, StoreError>>;
    /// Ends a session.
    fn end_session(&self, secret: &Secret<String>) -> impl Future<Output = Result<(), StoreError>>;
}
