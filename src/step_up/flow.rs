//! The flow of a gated grant, read top to bottom.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    Asker, AttemptLedger, Audit, AuditEvent, AuditOutcome, Clock, DeviceRequest, DeviceStore, EnrolmentStore,
    Fingerprints, Found, Orphans, OwnerError, RefreshRegistry, StoreError, TokenOrigin, TokenOwner,
    TokenUpstream, UpstreamAnswer, UpstreamFault, WithheldToken,
};
use crate::{
    factor::{self, Presented},
    headers::TraceId,
    oauth::answer::Answer,
    policy::{
        AddressRule, Challenge, Clearance, Denial, Enforcement, Enrolment, FactorVerified, Need,
        lockout::Attempt,
        need,
        rules::{Decision, Facts, Rule, Rules, Verdict},
    },
    types::{FactorId, SubjectId},
};

/// A grant that needs clearance before its token may leave.
#[derive(Debug)]
pub struct GatedGrant {
    /// Whose token it will be.
    pub claim: Claim,
    /// What the client presented as its second factor.
    pub presented: Presented,
    /// What it says of remembered devices.
    pub device: DeviceRequest,
    /// The canonical request.
    pub request: http::Request<Bytes>,
    /// Where the token will come from; `None` where nobody revokes tokens.
    pub origin: Option<TokenOrigin>,
    /// What rules go by, besides the subject.
    pub facts: GrantFacts,
    /// Tells a token from a refusal.
    pub judge: fn(StatusCode, &HeaderMap, &[u8]) -> Answer,
}

/// What is known of a grant, besides whose it is. What is not known is `None`.
#[derive(Debug, Clone, Default)]
pub struct GrantFacts {
    /// The client that asked.
    pub client_id: Option<String>,
    /// The scopes that it asked for, as they came.
    pub scope: Option<String>,
    /// Where it is.
    pub address: Option<IpAddr>,
    /// The trace that its request belongs to.
    pub trace_id: Option<TraceId>,
}

impl GrantFacts {
    /// Who asked.
    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { client_id: self.client_id.as_deref(), address: self.address, trace_id: self.trace_id }
    }
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
    /// Who needs a second factor.
    pub rules: &'a Rules,
    /// Whether what is decided is also done.
    pub enforcement: Enforcement,
    /// For how long refresh tokens are remembered, if they are. Seconds.
    pub remember_refresh_secs: Option<u64>,
    /// For how long devices are remembered, if they are. Seconds.
    pub remember_devices_secs: Option<u64>,
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
    /// The token goes to the client, for it was cleared.
    Released(UpstreamAnswer),
    /// The upstream's own refusal goes to the client.
    Refused(UpstreamAnswer),
    /// The token stays here; the client is asked for a passcode.
    Challenge(Challenge),
    /// The token stays here.
    Deny(Denial),
}

/// Something broke, so nothing is released.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The enrolment or the ledger could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The upstream could not be asked, or its answer not be judged.
    #[error(transparent)]
    Upstream(#[from] UpstreamFault),
    /// Nobody says whose the token is.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The task that was to decide ended without having done so.
    #[error("the grant was not decided")]
    Lost,
}

/// Sends a gated grant upstream and says what may leave. The grant is boxed, for each future that it is handed on to
/// would hold it twice.
pub async fn token_flow<S, U, C, A, O>(
    flow: &Flow<'_, S, U, C, A, O>,
    mut grant: Box<GatedGrant>,
) -> Result<Outcome, GateError>
where
    S: EnrolmentStore + AttemptLedger + Fingerprints + RefreshRegistry + DeviceStore,
    U: TokenUpstream + TokenOwner,
    C: Clock,
    A: Audit,
    O: Orphans,
{
    let (device, facts) = (std::mem::take(&mut grant.device), std::mem::take(&mut grant.facts));
    let client_id = facts.client_id.as_deref();
    let Judged { withheld, subject, rule, cleared } = match flow.judge(grant, &facts, Purpose::Token).await? {
        Asked::Refused(answer) => return Ok(Outcome::Refused(answer)),
        Asked::Judged(judged) => judged,
    };
    let (subject, rule) = (subject.as_ref(), rule.map(|rule| rule.name.as_str()));
    let is_enforced = flow.enforcement == Enforcement::On;
    let told = Told { subject, asker: facts.asker(), rule, is_enforced };
    let (cleared, token) = match (cleared, subject, &device.presented) {
        // A device stands for the code where one would be asked for, and none came.
        (Ok(Cleared::NotYet(Challenge::PasscodeWanted)), Some(subject), Some(presented)) => {
            match Box::pin(flow.use_device(subject, presented, client_id)).await {
                Ok(Some((proof, token))) => (Ok(Cleared::Yes(proof.into())), Some(token)),
                Ok(None) => (Ok(Cleared::NotYet(Challenge::PasscodeWanted)), None),
                Err(error) => (Err(error.into()), None),
            }
        }
        (cleared, ..) => (cleared, None),
    };
    let kept = match cleared {
        Ok(Cleared::Yes(clearance)) => {
            let token = match (token, &clearance, subject) {
                (None, Clearance::Verified(proof), Some(subject)) => {
                    Box::pin(flow.remember_device(subject, &device, client_id, proof)).await
                }
                (token, ..) => token,
            };
            flow.remember_issued(&withheld, subject, &clearance).await;
            // Nothing is awaited between what the trail says and the release: a client that leaves cancels this.
            flow.record_release(&told, &clearance);
            let mut answer = withheld.release(clearance);
            if let Some(token) = token {
                token.write_to(answer.headers_mut());
            }
            return Ok(Outcome::Released(answer));
        }
        Ok(Cleared::NotYet(challenge)) => {
            flow.record_of(&told, AuditOutcome::Challenged(challenge), None);
            Ok(Outcome::Challenge(challenge))
        }
        Ok(Cleared::Never(denial)) => {
            flow.record_of(&told, AuditOutcome::Denied(denial), None);
            Ok(Outcome::Deny(denial))
        }
        Err(error) => {
            flow.record_of(&told, AuditOutcome::Failed, None);
            Err(error)
        }
    };
    // What would be withheld is let out where the gateway only watches; what broke is said in the log.
    let Some(unenforced) = flow.enforcement.unenforced() else { return kept };
    if let Err(error) = kept {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "a grant could not be decided, and nothing is enforced");
    }
    Ok(Outcome::Released(withheld.release(unenforced.into())))
}

/// What a grant is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A token, for the client.
    Token,
    /// To see whether somebody is who they say.
    SignIn,
}

/// What came of asking the upstream.
pub(super) enum Asked<'f, 'g, O: Orphans> {
    /// Its own refusal.
    Refused(UpstreamAnswer),
    /// It issued a token.
    Judged(Judged<'f, 'g, O>),
}

/// A token, and whether it may leave.
pub(super) struct Judged<'f, 'g, O: Orphans> {
    pub(super) withheld: WithheldToken<'g, O>,
    pub(super) subject: Option<SubjectId>,
    pub(super) rule: Option<&'f Rule>,
    pub(super) cleared: Result<Cleared, GateError>,
}

impl<'f, S, U, C, A, O> Flow<'f, S, U, C, A, O>
where
    S: EnrolmentStore + AttemptLedger + Fingerprints,
    U: TokenUpstream + TokenOwner,
    C: Clock,
    A: Audit,
    O: Orphans,
{
    /// Sends a grant upstream, and judges what comes back.
    pub(super) async fn judge(
        &self,
        grant: Box<GatedGrant>,
        facts: &GrantFacts,
        purpose: Purpose,
    ) -> Result<Asked<'f, 'f, O>, GateError> {
        let GatedGrant { claim, presented, device: _, request, origin, facts: _, judge } = *grant;
        let asked = match &claim {
            Claim::Name(_) => HeaderMap::new(),
            Claim::OfToken => request.headers().clone(),
        };

        let answer = self.upstream.send(request).await?;
        match judge(answer.status(), answer.headers(), answer.body()) {
            Answer::Token => {}
            Answer::Refusal => {
                self.record(None, facts.asker(), AuditOutcome::UpstreamRefused);
                return Ok(Asked::Refused(answer));
            }
            // For everyone, before the enrolment is looked at: it may be an answer to a wrong password, and whoever
            // sent that must not learn who is enrolled.
            Answer::Unclear(rule) => return Err(UpstreamFault::NotUnderstood(rule).into()),
        }
        let withheld = WithheldToken::new(answer, self.orphans, origin);

        let (mut subject, mut rule) = (None, None);
        let cleared = async {
            // Not beside the password check: who enrols, or loses a factor, while the upstream takes its time is judged
            // by that.
            let (owner, enrolment) = match &claim {
                Claim::Name(name) => {
                    // What fails from here on is this subject's.
                    subject = Some(name.clone());
                    self.follow(name, self.store.find(name).await?).await?
                }
                Claim::OfToken => {
                    let owner = Box::pin(withheld.owner(self.upstream, &asked)).await?;
                    let enrolment = self.store.load(&owner).await?;
                    (owner, enrolment)
                }
            };
            let owner = &*subject.insert(owner);
            if let (Claim::Name(name), Enrolment::Absent) = (&claim, &enrolment)
                && name == owner
                && self.addresses.is_unknown(name)
            {
                return Ok(Cleared::Never(Denial::UnknownAddress));
            }
            let decision = self.decide(owner, facts, &withheld);
            rule = decision.rule;
            let verdict = match (purpose, decision.verdict) {
                (Purpose::SignIn, Verdict::Exempt | Verdict::Require { .. }) => Verdict::IfEnrolled,
                (_, verdict) => verdict,
            };
            self.clear(owner, verdict, &enrolment, &presented).await
        };
        let cleared = cleared.await;
        Ok(Asked::Judged(Judged { withheld, subject, rule, cleared }))
    }
}

/// What the audit trail is told of every grant.
pub(super) struct Told<'a> {
    pub(super) subject: Option<&'a SubjectId>,
    pub(super) asker: Asker<'a>,
    pub(super) rule: Option<&'a str>,
    pub(super) is_enforced: bool,
}

pub(super) enum Cleared {
    Yes(Clearance),
    NotYet(Challenge),
    Never(Denial),
}

impl<'f, S, U, C, A, O> Flow<'f, S, U, C, A, O>
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

    /// Asks the rules.
    fn decide<Q: Orphans>(
        &self,
        subject: &SubjectId,
        facts: &GrantFacts,
        withheld: &WithheldToken<'_, Q>,
    ) -> Decision<'f> {
        let scopes = self.rules.ask_for_scopes().then(|| {
            // What was granted counts, and where the answer does not say, it is what was asked for (RFC 6749
            // section 5.1).
            let granted = withheld.scopes();
            let scope = granted.as_deref().or(facts.scope.as_deref()).unwrap_or_default();
            scope.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()
        });
        self.rules.decide(&Facts {
            subject,
            client_id: facts.client_id.as_deref(),
            scopes: scopes.as_deref(),
            address: facts.address,
            now: self.clock.now(),
        })
    }

    pub(super) async fn clear(
        &self,
        subject: &SubjectId,
        verdict: Verdict,
        enrolment: &Enrolment,
        presented: &Presented,
    ) -> Result<Cleared, GateError> {
        let now = self.clock.now();
        let (factors, passcode) = match need(verdict, enrolment, presented, now) {
            Need::Nothing(not_required) => return Ok(Cleared::Yes(not_required.into())),
            Need::Refusal(denial) => return Ok(Cleared::Never(denial)),
            Need::Challenge(challenge) => return Ok(Cleared::NotYet(challenge)),
            Need::Attempt { factors, passcode } => (factors, passcode),
        };
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
    pub(super) fn record(&self, subject: Option<&SubjectId>, asker: Asker<'_>, outcome: AuditOutcome) {
        self.record_of(&Told { subject, asker, rule: None, is_enforced: true }, outcome, None);
    }

    pub(super) fn record_of(&self, told: &Told<'_>, outcome: AuditOutcome, factor: Option<&FactorId>) {
        let Told { subject, asker, rule, is_enforced } = *told;
        self.audit.record(&AuditEvent::Grant { subject, asker, outcome, factor, rule, is_enforced });
    }

    fn record_release(&self, told: &Told<'_>, clearance: &Clearance) {
        let (outcome, factor) = match clearance {
            Clearance::Verified(proof) => (AuditOutcome::ReleasedWithFactor(proof.means()), Some(proof.id())),
            Clearance::Exempt(proof) if proof.is_exempt() => (AuditOutcome::ReleasedByRule, None),
            Clearance::Exempt(_) | Clearance::Unenforced(_) => (AuditOutcome::ReleasedWithoutFactor, None),
            Clearance::Continued(_) => (AuditOutcome::ReleasedByRefresh, None),
        };
        self.record_of(told, outcome, factor);
    }
}
