//! What the flow needs of the world, as traits that adapters implement.

use std::{future::Future, net::IpAddr};

use bytes::Bytes;

use super::EditDenial;
use crate::{
    factor::{PresentedRecoveryCode, RecoveryCode},
    headers::TraceId,
    identity::ClaimFault,
    oauth::tripwire::Tripped,
    policy::{
        Challenge, Denial, Enrolment, Means,
        lockout::{Attempt, Settlement},
    },
    sealing::{Fingerprint, SealingError},
    types::{FactorId, SubjectId, UnixTime},
};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a store gave no answer. Each of them fails closed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached, or broke off.
    #[error("the store cannot be reached")]
    Unreachable(#[source] Source),
    /// It did not answer within the configured time.
    #[error("the store did not answer within {after_ms} ms")]
    TimedOut {
        /// The configured bound, in milliseconds.
        after_ms: u64,
    },
    /// Its bounded queue is full.
    #[error("the store has more work than its queue holds")]
    Overloaded,
    /// It answered something that the layout does not allow.
    #[error("the record '{record}' cannot be read: {rule}")]
    Malformed {
        /// Which one: a factor's id, or what kind of record it is.
        record: String,
        /// What the layout asks for.
        rule: &'static str,
    },
    /// A record that does not open is an error, never "not enrolled".
    #[error("the record '{record}' cannot be opened")]
    Sealed {
        /// Which one: a factor's id, or what kind of record it is.
        record: String,
        /// Which key, and why.
        #[source]
        source: SealingError,
    },
    /// It refused, with a reason of its own.
    #[error("the store failed")]
    Failed(#[source] Source),
    /// A change that its rules do not allow: nothing was changed.
    #[error(transparent)]
    Refused(#[from] EditDenial),
}

/// What a store has under a name.
#[derive(Debug, Clone)]
pub enum Found {
    /// A subject's factors, or none.
    Subject(Enrolment),
    /// Another name of this subject.
    AliasOf(SubjectId),
}

/// Where enrolments are.
pub trait EnrolmentStore {
    /// Reads what is there under a name, and opens the factors, in one round trip. Never `Absent` unless the store
    /// said so.
    fn find(&self, name: &SubjectId) -> impl Future<Output = Result<Found, StoreError>>;

    /// Reads a subject's factors. An alias is an error: it leads to a subject, never to another alias.
    fn load(&self, subject: &SubjectId) -> impl Future<Output = Result<Enrolment, StoreError>> {
        async {
            match self.find(subject).await? {
                Found::Subject(enrolment) => Ok(enrolment),
                Found::AliasOf(_) => Err(StoreError::Malformed {
                    record: "alias_of".into(),
                    rule: "an alias must not be the alias of an alias",
                }),
            }
        }
    }
}

/// Where attempts are settled.
pub trait AttemptLedger {
    /// Settles one attempt atomically, in one round trip: of any number of gateways that present the
    /// same passcode at once, exactly one gets [`Settlement::Accepted`].
    ///
    /// `now` is for a store on this machine; a shared one uses its own clock for locks and windows.
    fn settle(
        &self,
        subject: &SubjectId,
        attempt: &Attempt,
        now: UnixTime,
    ) -> impl Future<Output = Result<Settlement, StoreError>>;
}

/// Digests and compares what is presented, with the sealing keys.
pub trait Fingerprints {
    /// The digest of one subject's passcode.
    fn fingerprint(&self, subject: &SubjectId, passcode: &[u8]) -> Fingerprint;
    /// Whether what was presented is this recovery code of the subject. One whose record does not open is none.
    fn is_recovery_code(
        &self,
        subject: &SubjectId,
        code: &RecoveryCode,
        presented: &PresentedRecoveryCode,
    ) -> bool;
}

/// An upstream's answer to a token request, read whole.
pub type UpstreamAnswer = http::Response<Bytes>;

/// Why the upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFault {
    /// No connection, or it broke off before an answer.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] Source),
    /// No answer within the configured time.
    #[error("the upstream did not answer in time")]
    TimedOut(#[source] Source),
    /// No more requests at once.
    #[error("too many requests to the upstream are under way")]
    Overloaded(#[source] Source),
    /// An answer that cannot be judged, for its size or its shape.
    #[error("the upstream's answer cannot be judged: {0}")]
    NotUnderstood(&'static str),
}

/// The OAuth2 server behind the gateway.
pub trait TokenUpstream {
    /// Sends one token request. It is never sent twice.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<UpstreamAnswer, UpstreamFault>>;
}

/// Why the upstream does not say whose a token is. Nothing is released then.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// It could not be asked.
    #[error("it cannot be looked up whose the token is")]
    Unreachable(#[source] UpstreamFault),
    /// Its answer does not tell.
    #[error("it cannot be told whose the token is: {0}")]
    NotTold(&'static str),
    /// Its answer has no subject where one is looked for.
    #[error("it cannot be told whose the token is")]
    NoSubject(#[from] ClaimFault),
}

/// Says whose a token is, by the upstream's own word.
pub trait TokenOwner {
    /// Whether it can say so at all.
    fn tells_owners(&self) -> bool;

    /// Looks up the subject of a token that was issued just now. `asked` are the headers of the token request.
    fn owner(
        &self,
        answer: &UpstreamAnswer,
        asked: &http::HeaderMap,
    ) -> impl Future<Output = Result<SubjectId, OwnerError>>;
}

/// The time.
pub trait Clock {
    /// Now.
    fn now(&self) -> UnixTime;
}

/// How a gated grant ended, for the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOutcome {
    /// The upstream refused; nothing to protect.
    UpstreamRefused,
    /// Released: the subject has no factor.
    ReleasedWithoutFactor,
    /// Released: a factor was verified, by this means.
    ReleasedWithFactor(Means),
    /// Released: a rule exempts it.
    ReleasedByRule,
    /// Released: it was made of one that was released before.
    ReleasedByRefresh,
    /// Somebody signed in to the gateway's own pages; the token was given to nobody.
    SignedIn,
    /// Somebody who had signed in verified a factor once more.
    Verified,
    /// Withheld, with this challenge.
    Challenged(Challenge),
    /// Withheld, and no passcode would help.
    Denied(Denial),
    /// Withheld: something broke.
    Failed,
}

/// Who asked, as far as that is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asker<'a> {
    /// The client, as it calls itself.
    pub client_id: Option<&'a str>,
    /// Where it is.
    pub address: Option<IpAddr>,
    /// The trace that its request belongs to.
    pub trace_id: Option<TraceId>,
}

/// One line of the audit trail. It holds no secret.
#[derive(Debug)]
pub enum AuditEvent<'a> {
    /// A gated grant has ended.
    Grant {
        /// Whose token it was about, as far as that is known.
        subject: Option<&'a SubjectId>,
        /// Who asked.
        asker: Asker<'a>,
        /// How it ended.
        outcome: AuditOutcome,
        /// The factor that was verified.
        factor: Option<&'a FactorId>,
        /// The rule that decided, if one did.
        rule: Option<&'a str>,
        /// Whether it was done so. If not, the token was let out whatever the outcome.
        is_enforced: bool,
    },
    /// A device's token was presented that had been used before: it is remembered no more.
    DeviceReused {
        /// Whose device.
        subject: &'a SubjectId,
        /// Which one.
        device: &'a FactorId,
    },
    /// The tripwire saw a token where none is issued.
    TokenSeen {
        /// The path that was asked for.
        path: &'a str,
        /// What was seen.
        why: Tripped,
        /// Whether the answer was stopped.
        is_stopped: bool,
    },
}

/// Where audit events go.
pub trait Audit {
    /// Takes one event. It must not block.
    fn record(&self, event: &AuditEvent<'_>);
}
