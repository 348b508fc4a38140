//! The flow of a gated grant, read top to bottom.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, ready, select};

use super::{
    AttemptLedger, Audit, AuditEvent, AuditOutcome, Clock, EnrolmentStore, Fingerprints, OrphanClient,
    Orphans, StoreError, TokenUpstream, UpstreamAnswer, UpstreamFault, WithheldToken,
};
use crate::{
    factor::{self, Presented},
    oauth::answer::{Answer, classify},
    policy::{Challenge, Clearance, Enrolment, FactorVerified, Need, lockout::Attempt, need},
    types::SubjectId,
};

/// A grant that needs clearance before its token may leave.
#[derive(Debug)]
pub struct GatedGrant {
    /// The claimed subject.
    pub subject: SubjectId,
    /// What the client presented as its second factor.
    pub presented: Presented,
    /// The canonical request.
    pub request: http::Request<Bytes>,
    /// The client, as it authenticated itself in that request.
    pub client: OrphanClient,
}

/// The adapters that one flow uses.
#[derive(Debug)]
pub struct Flow<'a, S, U, C, A, O> {
    /// Enrolments, ledger and fingerprints.
    pub store: &'a S,
    /// The OAuth2 server.
    pub upstream: &'a U,
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
}

/// Sends a gated grant upstream and says what may leave.
pub async fn token_flow<S, U, C, A, O>(
    flow: &Flow<'_, S, U, C, A, O>,
    grant: GatedGrant,
) -> Result<Outcome, GateError>
where
    S: EnrolmentStore + AttemptLedger + Fingerprints,
    U: TokenUpstream,
    C: Clock,
    A: Audit,
    O: Orphans,
{
    let GatedGrant { subject, presented, request, client } = grant;
    let host =
        request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok().map(str::to_owned));
    let record = |outcome, factor| flow.audit.record(&AuditEvent { subject: &subject, outcome, factor });

    // The enrolment is read while the upstream checks the password; a refusal does not wait for it.
    let (sending, loading) = (pin!(flow.upstream.send(request)), pin!(flow.store.load(&subject)));
    let (answer, enrolment) = match select(sending, loading).await {
        Either::Left((answer, loading)) => (answer?, Either::Left(loading)),
        Either::Right((enrolment, sending)) => (sending.await?, Either::Right(ready(enrolment))),
    };
    match classify(answer.status(), answer.headers(), answer.body()) {
        Answer::Token => {}
        Answer::Refusal => {
            record(AuditOutcome::UpstreamRefused, None);
            return Ok(Outcome::Relay(answer));
        }
        // For everyone, before the enrolment is looked at: it may be an answer to a wrong password, and whoever
        // sent that must not learn who is enrolled.
        Answer::Unclear(rule) => return Err(UpstreamFault::NotUnderstood(rule).into()),
    }
    let withheld = WithheldToken::new(answer, flow.orphans, client, host);

    let cleared = match enrolment.await {
        Ok(enrolment) => clear(flow, &subject, &enrolment, &presented).await,
        Err(error) => Err(error.into()),
    };
    match cleared {
        Ok(Cleared::Yes(clearance)) => {
            match &clearance {
                Clearance::Verified(proof) => record(AuditOutcome::ReleasedWithFactor, Some(proof.factor())),
                Clearance::Exempt(_) => record(AuditOutcome::ReleasedWithoutFactor, None),
            }
            Ok(Outcome::Relay(withheld.release(clearance)))
        }
        Ok(Cleared::No(challenge)) => {
            record(AuditOutcome::Challenged(challenge), None);
            Ok(Outcome::Challenge(challenge))
        }
        Err(error) => {
            record(AuditOutcome::Failed, None);
            Err(error)
        }
    }
}

enum Cleared {
    Yes(Clearance),
    No(Challenge),
}

async fn clear<S, U, C, A, O>(
    flow: &Flow<'_, S, U, C, A, O>,
    subject: &SubjectId,
    enrolment: &Enrolment,
    presented: &Presented,
) -> Result<Cleared, GateError>
where
    S: AttemptLedger + Fingerprints,
    C: Clock,
{
    let (factors, passcode) = match need(enrolment, presented) {
        Need::Nothing(not_required) => return Ok(Cleared::Yes(not_required.into())),
        Need::Challenge(challenge) => return Ok(Cleared::No(challenge)),
        Need::Attempt { factors, passcode } => (factors, passcode),
    };
    let now = flow.clock.now();
    let attempt = Attempt {
        matched: factor::verify(factors, passcode, now),
        fingerprint: flow.store.fingerprint(subject, passcode.expose()),
        window_secs: factor::window_secs(factors),
    };
    let settlement = flow.store.settle(subject, &attempt, now).await?;
    Ok(match FactorVerified::new(&attempt.matched, settlement) {
        Ok(proof) => Cleared::Yes(proof.into()),
        Err(challenge) => Cleared::No(challenge),
    })
}
