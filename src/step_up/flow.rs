//! The flow of a gated grant, read top to bottom.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, ready, select};
use http::{HeaderMap, StatusCode};

use super::{
    AttemptLedger, Audit, AuditEvent, AuditOutcome, Clock, EnrolmentStore, Fingerprints, Found, Orphans,
    OwnerError, RefreshRegistry, StoreError, TokenOrigin, TokenOwner, TokenUpstream, UpstreamAnswer,
    UpstreamFault, WithheldToken,
};
use crate::{
    factor::{self, Presented},
    oauth::answer::Answer,
    policy::{
        AddressRule, Challenge, Clearance, Denial, Enrolment, FactorVerified, Need, lockout::Attempt, need,
    },
    types::SubjectId,
};

/// A grant that needs clearance before its token may leave.
#[derive(Debug)]
pub struct GatedGrant {
    /// Whose token it will be.
    pub claim: Claim,
    /// What the client presented as its second factor.
    pub presented: Presented,
    /// The canonical request.
    pub request: http::Request<Bytes>,
    /// Where the token will come from; `None` where nobody revokes tokens.
    pub origin: Option<TokenOrigin>,
    /// Tells a token from a refusal.
    pub judge: fn(StatusCode, &HeaderMap, &[u8]) -> Answer,
}

/// How it is known whose token is being asked for.
#[derive(Debug)]
pub enum Claim {
    /// By the user name that was sent: a subject, or an alias of one.
    Name(SubjectId),
    /// By what the upstream says of the token.
    OfToken,
}

/// The adapters that one flow uses.
#[derive(Debug)]
pub struct Flow<'a, S, U, C, A, O> {
    /// Enrolments, ledger and fingerprints.
    pub store: &'a S,
    /// The OAuth2 server: grants, and whose their tokens are.
    pub upstream: &'a U,
    /// What e-mail addresses are.
    pub addresses: AddressRule,
    /// For how long refresh tokens are remembered, if they are. Seconds.
    pub remember_refresh_secs: Option<u64>,
    /// The time.
    pub clock: &'a C,
    /// The audit trail.
    pub audit: &'a A,
    /// Where a token goes that is withheld and not released.
    pub orphans: &'a O,
}

/// How a gated grant ends.
#[derive(Debug)]
pub enum Outcome {
    /// The upstream's answer goes to the client: a cleared token, or its own refusal.
    Relay(UpstreamAnswer),
    /// The token stays here; the client is asked for a passcode.
    Challenge(Challenge),
    /// The token stays here.
    Deny(Denial),
}

/// Something broke, so nothing is released.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The enrolment or the ledger could not be asked: 503.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The upstream could not be asked, or its answer not be judged: 502 or 504.
    #[error(transparent)]
    Upstream(#[from] UpstreamFault),
    /// Nobody says whose the token is: 503.
    #[error(transparent)]
    Owner(#[from] OwnerError),
}

/// Sends a gated grant upstream and says what may leave.
pub async fn token_flow<S, U, C, A, O>(
    flow: &Flow<'_, S, U, C, A, O>,
    grant: GatedGrant,
) -> Result<Outcome, GateError>
where
    S: EnrolmentStore + AttemptLedger + Fingerprints + RefreshRegistry,
    U: TokenUpstream + TokenOwner,
    C: Clock,
    A: Audit,
    O: Orphans,
{
    let GatedGrant { claim, presented, request, origin, judge } = grant;
    let asked = match &claim {
        Claim::Name(_) => HeaderMap::new(),
        Claim::OfToken => request.headers().clone(),
    };

    // What is known under a name is read while the upstream checks the password; a refusal does not wait for it.
    let finding = async {
        match &claim {
            Claim::Name(name) => Some(flow.store.find(name).await),
            Claim::OfToken => None,
        }
    };
    let (sending, finding) = (pin!(flow.upstream.send(request)), pin!(finding));
    let (answer, found) = match select(sending, finding).await {
        Either::Left((answer, finding)) => (answer?, Either::Left(finding)),
        Either::Right((found, sending)) => (sending.await?, Either::Right(ready(found))),
    };
    match judge(answer.status(), answer.headers(), answer.body()) {
        Answer::Token => {}
        Answer::Refusal => {
            flow.record(None, AuditOutcome::UpstreamRefused);
            return Ok(Outcome::Relay(answer));
        }
        // For everyone, before the enrolment is looked at: it may be an answer to a wrong password, and whoever
        // sent that must not learn who is enrolled.
        Answer::Unclear(rule) => return Err(UpstreamFault::NotUnderstood(rule).into()),
    }
    let withheld = WithheldToken::new(answer, flow.orphans, origin);

    let mut subject = None;
    let cleared = async {
        let (owner, enrolment) = if let (Claim::Name(name), Some(found)) = (&claim, found.await) {
            flow.follow(name, found?).await?
        } else {
            let owner = withheld.owner(flow.upstream, &asked).await?;
            let enrolment = flow.store.load(&owner).await?;
            (owner, enrolment)
        };
        let owner = &*subject.insert(owner);
        if let (Claim::Name(name), Enrolment::Absent) = (&claim, &enrolment)
            && name == owner
            && flow.addresses.is_unknown(name)
        {
            return Ok(Cleared::Never(Denial::UnknownAddress));
        }
        flow.clear(owner, &enrolment, &presented).await
    };
    let cleared = cleared.await;
    let subject = subject.as_ref();
    match cleared {
        Ok(Cleared::Yes(clearance)) => {
            flow.record_release(subject, &clearance);
            flow.remember_issued(&withheld, subject, &clearance).await;
            Ok(Outcome::Relay(withheld.release(clearance)))
        }
        Ok(Cleared::NotYet(challenge)) => {
            flow.record(subject, AuditOutcome::Challenged(challenge));
            Ok(Outcome::Challenge(challenge))
        }
        Ok(Cleared::Never(denial)) => {
            flow.record(subject, AuditOutcome::Denied(denial));
            Ok(Outcome::Deny(denial))
        }
        Err(error) => {
            flow.record(subject, AuditOutcome::Failed);
            Err(error)
        }
    }
}

enum Cleared {
    Yes(Clearance),
    NotYet(Challenge),
    Never(Denial),
}

impl<S, U, C, A, O> Flow<'_, S, U, C, A, O>
where
    S: EnrolmentStore + AttemptLedger + Fingerprints,
    C: Clock,
{
    /// From a name to the subject that it is of.
    async fn follow(&self, name: &SubjectId, found: Found) -> Result<(SubjectId, Enrolment), StoreError> {
        match found {
            Found::Subject(enrolment) => Ok((name.clone(), enrolment)),
            Found::AliasOf(subject) => {
                let enrolment = self.store.load(&subject).await?;
                Ok((subject, enrolment))
            }
        }
    }

    async fn clear(
        &self,
        subject: &SubjectId,
        enrolment: &Enrolment,
        presented: &Presented,
    ) -> Result<Cleared, GateError> {
        let (factors, passcode) = match need(enrolment, presented) {
            Need::Nothing(not_required) => return Ok(Cleared::Yes(not_required.into())),
            Need::Challenge(challenge) => return Ok(Cleared::NotYet(challenge)),
            Need::Attempt { factors, passcode } => (factors, passcode),
        };
        let now = self.clock.now();
        let attempt = Attempt {
            fit: factor::verify(factors, passcode, now, |code, presented| {
                self.store.is_recovery_code(subject, code, presented)
            }),
            fingerprint: self.store.fingerprint(subject, passcode.expose()),
            window_secs: factor::window_secs(factors),
        };
        let settlement = self.store.settle(subject, &attempt, now).await?;
        Ok(match FactorVerified::new(&attempt.fit, settlement) {
            Ok(proof) => Cleared::Yes(proof.into()),
            Err(challenge) => Cleared::NotYet(challenge),
        })
    }
}

impl<S, U, C, A: Audit, O> Flow<'_, S, U, C, A, O> {
    pub(super) fn record(&self, subject: Option<&SubjectId>, outcome: AuditOutcome) {
        self.audit.record(&AuditEvent::Grant { subject, outcome, factor: None });
    }

    fn record_release(&self, subject: Option<&SubjectId>, clearance: &Clearance) {
        let (outcome, factor) = match clearance {
            Clearance::Verified(proof) => (AuditOutcome::ReleasedWithFactor(proof.means()), Some(proof.id())),
            Clearance::Exempt(_) => (AuditOutcome::ReleasedWithoutFactor, None),
            Clearance::Continued(_) => (AuditOutcome::ReleasedByRefresh, None),
        };
        self.audit.record(&AuditEvent::Grant { subject, outcome, factor });
    }
}
