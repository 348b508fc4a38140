//! Refresh tokens, where those from before their subject enrolled are refused.
//!
//! What the gateway lets out it remembers, by a digest: whose it is, and since when. A refresh token of which
//! nothing is remembered is one from before.

use std::future::Future;

use bytes::Bytes;

use super::{
    Audit, AuditOutcome, Clock, EnrolmentStore, Flow, GateError, GrantFacts, Orphans, Outcome, StoreError,
    TokenOrigin, TokenOwner, TokenUpstream, UpstreamAnswer, UpstreamFault, WithheldToken, flow::Told,
};
use crate::{
    oauth::{
        IssuedTokens,
        answer::{Answer, classify},
    },
    policy::{
        Clearance, Denial, Enforcement,
        refresh::{Basis, RefreshRecord, continued},
    },
    types::{Secret, SubjectId, UnixTime},
};

/// What is remembered of refresh tokens.
pub trait RefreshRegistry {
    /// Remembers what was let out, for so many seconds from now.
    fn remember(
        &self,
        refresh_token: &Secret<String>,
        record: &RefreshRecord,
        for_secs: u64,
        now: UnixTime,
    ) -> impl Future<Output = Result<(), StoreError>>;
    /// What is remembered of a refresh token.
    fn recall(
        &self,
        refresh_token: &Secret<String>,
        now: UnixTime,
    ) -> impl Future<Output = Result<Option<RefreshRecord>, StoreError>>;
}

/// A refresh grant (RFC 6749 section 6) that is looked into.
#[derive(Debug)]
pub struct RefreshGrant {
    /// The token that the client presents.
    pub refresh_token: Secret<String>,
    /// The canonical request.
    pub request: http::Request<Bytes>,
    /// Where the new token will come from, for whoever has to revoke it.
    pub origin: Option<TokenOrigin>,
    /// Who asked.
    pub facts: GrantFacts,
}

/// Sends a refresh grant upstream and says whether what comes of it may leave.
pub async fn refresh_flow<S, U, C, A, O>(
    flow: &Flow<'_, S, U, C, A, O>,
    grant: RefreshGrant,
) -> Result<Outcome, GateError>
where
    S: EnrolmentStore + RefreshRegistry,
    U: TokenUpstream + TokenOwner,
    C: Clock,
    A: Audit,
    O: Orphans,
{
    let RefreshGrant { refresh_token, request, origin, facts } = grant;
    let asked = request.headers().clone();
    let answer = flow.upstream.send(request).await?;
    match classify(answer.status(), answer.headers(), answer.body()) {
        Answer::Token => {}
        Answer::Refusal => {
            flow.record(None, facts.asker(), AuditOutcome::UpstreamRefused);
            return Ok(Outcome::Refused(answer));
        }
        Answer::Unclear(rule) => return Err(UpstreamFault::NotUnderstood(rule).into()),
    }
    let record = flow.store.recall(&refresh_token, flow.clock.now()).await;
    let next = IssuedTokens::read(answer.headers(), answer.body())
        .refresh_token
        .unwrap_or_else(|| refresh_token.clone());
    let withheld = WithheldToken::new(answer, flow.orphans, origin);

    let mut subject = None;
    let cleared = async {
        let record = record?;
        let owner = match record.as_ref().and_then(|record| record.subject.clone()) {
            Some(subject) => subject,
            None if flow.upstream.tells_owners() => withheld.owner(flow.upstream, &asked).await?,
            None => return Ok(Err(Denial::IssuedBeforeEnrolment)),
        };
        let owner = &*subject.insert(owner);
        let enrolment = flow.store.load(owner).await?;
        Ok::<_, GateError>(continued(&enrolment, record.as_ref()).map(|clearance| (clearance, record)))
    };
    let cleared = cleared.await;
    let is_enforced = flow.enforcement == Enforcement::On;
    let told = Told { subject: subject.as_ref(), asker: facts.asker(), rule: None, is_enforced };
    match cleared {
        Ok(Ok((clearance, record))) => {
            let record = record.unwrap_or_else(|| flow.begun(Basis::Password));
            flow.remember(&next, &RefreshRecord { subject: subject.clone(), ..record }).await;
            flow.record(subject.as_ref(), facts.asker(), AuditOutcome::ReleasedByRefresh);
            Ok(Outcome::Released(withheld.release(clearance)))
        }
        Ok(Err(denial)) => {
            flow.record_of(&told, AuditOutcome::Denied(denial), None);
            Ok(match flow.enforcement.unenforced() {
                Some(unenforced) => Outcome::Released(withheld.release(unenforced.into())),
                None => Outcome::Deny(denial),
            })
        }
        Err(error) => {
            flow.record_of(&told, AuditOutcome::Failed, None);
            let Some(unenforced) = flow.enforcement.unenforced() else { return Err(error) };
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a refresh grant could not be decided, and nothing is enforced");
            Ok(Outcome::Released(withheld.release(unenforced.into())))
        }
    }
}

/// Sends a grant that passes upstream, and remembers the refresh token that comes of it.
pub async fn passed_flow<S, U, C, A, O>(
    flow: &Flow<'_, S, U, C, A, O>,
    request: http::Request<Bytes>,
) -> Result<UpstreamAnswer, GateError>
where
    S: RefreshRegistry,
    U: TokenUpstream,
    C: Clock,
{
    let begun = flow.begun(Basis::Passed);
    let answer = flow.upstream.send(request).await?;
    if let Some(refresh_token) = IssuedTokens::read(answer.headers(), answer.body()).refresh_token {
        flow.remember(&refresh_token, &begun).await;
    }
    Ok(answer)
}

impl<S, U, C, A, O> Flow<'_, S, U, C, A, O>
where
    S: RefreshRegistry,
    C: Clock,
{
    /// A record that begins now, of nobody yet.
    pub(super) fn begun(&self, basis: Basis) -> RefreshRecord {
        RefreshRecord { subject: None, began_at: self.clock.now(), basis }
    }

    /// Remembers a refresh token, where that is asked for. A store that does not take it costs its holder another
    /// log-in later, and nothing now.
    pub(super) async fn remember(&self, refresh_token: &Secret<String>, record: &RefreshRecord) {
        let Some(for_secs) = self.remember_refresh_secs else { return };
        let now = self.clock.now();
        if let Err(error) = self.store.remember(refresh_token, record, for_secs, now).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "a refresh token could not be remembered: its holder will have to log in again"
            );
        }
    }

    /// Remembers the refresh token of an answer that is about to be released.
    pub(super) async fn remember_issued(
        &self,
        withheld: &WithheldToken<'_, O>,
        subject: Option<&SubjectId>,
        clearance: &Clearance,
    ) where
        O: Orphans,
    {
        if self.remember_refresh_secs.is_none() {
            return;
        }
        if let Some(refresh_token) = withheld.refresh_token() {
            let record = self.begun(match clearance {
                Clearance::Verified(_) | Clearance::Continued(_) => Basis::Cleared,
                Clearance::Exempt(proof) if proof.is_exempt() => Basis::Cleared,
                Clearance::Exempt(_) | Clearance::Unenforced(_) => Basis::Password,
            });
            self.remember(&refresh_token, &RefreshRecord { subject: subject.cloned(), ..record }).await;
        }
    }
}
