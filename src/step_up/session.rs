//! Sessions of people who have signed in to the gateway's own pages.

use std::future::Future;

use super::StoreError;
use crate::types::{Secret, SubjectId, UnixTime};

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who.
    pub subject: SubjectId,
    /// Whether a factor was verified: in this session, or to begin it.
    pub is_verified: bool,
    /// What every form of the session must send along: no other site's page knows it.
    pub form_token: Secret<String>,
}

/// Where sessions are kept, under a digest of the secret that the browser holds.
pub trait SessionStore {
    /// Keeps a session for so many seconds from now, in the place of what was kept before.
    fn put_session(
        &self,
        secret: &Secret<String>,
        session: &Session,
        for_secs: u64,
        now: UnixTime,
    ) -> impl Future<Output = Result<(), StoreError>>;
    /// The session, unless it is over.
    fn session(
        &self,
        secret: &Secret<String>,
        now: UnixTime,
    ) -> impl Future<Output = Result<Option<Session>, StoreError>>;
    /// Ends a session.
    fn end_session(&self, secret: &Secret<String>) -> impl Future<Output = Result<(), StoreError>>;
}
