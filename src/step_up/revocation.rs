//! Tokens that the upstream issued and that nobody was given: what is kept of them until they are revoked
//! upstream, and the ports that this needs.
//!
//! Invariants: to abandon an orphan never blocks and never fails, so that no client's answer depends on it; a
//! token, a client's secret and an `Authorization` header are `Secret`s, and leave this process sealed or on
//! their way to the upstream, and in no other form.

use std::future::Future;

use super::{StoreError, UpstreamAnswer};
use crate::{
    oauth::IssuedTokens,
    sealing::SealingError,
    types::{Secret, UnixTime},
};

/// An issued token that was withheld and not released. Whoever holds it must see to its revocation.
#[derive(Debug, Clone)]
pub struct Orphan {
    /// The access token, if the answer had one.
    pub access_token: Option<Secret<String>>,
    /// The refresh token, if the answer had one.
    pub refresh_token: Option<Secret<String>>,
    /// The client that the token was issued to.
    pub client: OrphanClient,
    /// The `Host` of the token request: a multi-site server finds its site by it.
    pub host: Option<String>,
}

/// How the client that a token was issued to authenticated itself.
#[derive(Debug, Clone, Default)]
pub struct OrphanClient {
    /// The value of the request's `Authorization` header.
    pub authorization: Option<Secret<String>>,
    /// The parameter `client_id`.
    pub client_id: Option<String>,
    /// The parameter `client_secret`.
    pub client_secret: Option<Secret<String>>,
}

/// Where a token came from: what is needed to revoke it there.
#[derive(Debug, Clone)]
pub struct TokenOrigin {
    /// The client that it was issued to.
    pub client: OrphanClient,
    /// The `Host` of the token request.
    pub host: Option<String>,
}

impl TokenOrigin {
    /// What of this answer is to be revoked.
    pub fn orphan(self, answer: &UpstreamAnswer) -> Orphan {
        let issued = IssuedTokens::read(answer.headers(), answer.body());
        Orphan {
            access_token: issued.access_token,
            refresh_token: issued.refresh_token,
            client: self.client,
            host: self.host,
        }
    }
}

impl Orphan {
    /// Bytes of all that it holds.
    pub fn bytes(&self) -> usize {
        let secret = |secret: &Option<Secret<String>>| secret.as_ref().map_or(0, |s| s.expose().len());
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        secret(&self.access_token)
            + secret(&self.refresh_token)
            + secret(&self.client.authorization)
            + secret(&self.client.client_secret)
            + text(&self.client.client_id)
            + text(&self.host)
    }
}

/// Who takes in orphans.
pub trait Orphans {
    /// Takes an orphan; never blocks, never fails for the caller.
    fn abandon(&self, orphan: Orphan);
}

/// The name of one revocation, drawn at random.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RevocationId(Box<str>);

impl RevocationId {
    /// A new one, of 128 random bits.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes).into())
    }

    /// One as it lies in a store. Whatever it is, its record opens only if it was sealed for it.
    pub fn from_stored(text: String) -> Self {
        Self(text.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RevocationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An orphan that is to be revoked.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Its name.
    pub id: RevocationId,
    /// What is to be revoked.
    pub orphan: Orphan,
}

/// A revocation that is due, and this gateway's for the time of its lease.
#[derive(Debug)]
pub struct DueRevocation {
    /// Its name.
    pub id: RevocationId,
    /// How often it was tried before.
    pub attempts: u32,
    /// Seconds since it was pushed, by the store's clock.
    pub age_secs: u64,
    /// What is to be revoked; one that does not open is an error of its own, and in nobody's way.
    pub orphan: Result<Orphan, RevocationFault>,
}

/// Why the record of a revocation is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationFault {
    /// It is not what the gateway wrote.
    #[error("its record cannot be read: {0}")]
    Malformed(&'static str),
    /// It does not open.
    #[error("its record cannot be opened")]
    Sealed(#[from] SealingError),
}

/// Where revocations wait. What was pushed is there after a restart; each is done at least once.
///
/// `now` is for a store on this machine; a shared one uses its own clock.
pub trait RevocationQueue {
    /// Seals and keeps one, due at once. Pushing it twice keeps it once. Returns how many of the oldest were
    /// dropped, because there were more than `REVOCATIONS_MAX`.
    fn push(&self, revocation: &Revocation, now: UnixTime) -> impl Future<Output = Result<u64, StoreError>>;
    /// Takes up to `limit` of those that are due, the longest due first, and hides them from everybody for
    /// `lease_secs`.
    fn claim(
        &self,
        now: UnixTime,
        lease_secs: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DueRevocation>, StoreError>>;
    /// Makes one due in `delay_secs`, after so many attempts in all. Nothing happens if it is gone.
    fn postpone(
        &self,
        id: &RevocationId,
        now: UnixTime,
        delay_secs: u64,
        attempts: u32,
    ) -> impl Future<Output = Result<(), StoreError>>;
    /// Forgets one.
    fn finish(&self, id: &RevocationId) -> impl Future<Output = Result<(), StoreError>>;
    /// How many there are, due or not.
    fn backlog(&self) -> impl Future<Output = Result<u64, StoreError>>;
}

/// What became of a revocation, or of an attempt at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationOutcome {
    /// The upstream revoked its tokens, or did not know them any more.
    Revoked,
    /// The upstream does not revoke tokens of that type (RFC 7009 section 2.2.1).
    Unsupported,
    /// An attempt failed; it is tried again.
    Retried,
    /// It was too old to be tried again.
    GivenUp,
    /// There was no place left to keep it in.
    Lost,
}

/// Who counts revocations.
pub trait RevocationMeter: Send + Sync {
    /// So many ended, or were tried, like this.
    fn count(&self, outcome: RevocationOutcome, revocations: u64);
    /// So many wait.
    fn set_backlog(&self, revocations: u64);
}
