//! Signing in to the gateway's own pages: the same password check, the same passcode, and no token for anybody.

use super::{
    Asker, AttemptLedger, Audit, AuditOutcome, Clock, EnrolmentStore, Fingerprints, Flow, GateError,
    GatedGrant, Orphans, OwnerError, TokenOwner, TokenUpstream,
    flow::{Asked, Cleared, Judged, Purpose, Told},
};
use crate::{
    factor::Presented,
    policy::{Challenge, Clearance, Denial, FactorVerified, rules::Verdict},
    types::SubjectId,
};

/// How a sign-in to the gateway's own pages ends.
#[derive(Debug)]
pub enum SignIn {
    /// The password was right, and so was the code of whoever has a factor.
    Yes {
        /// Who it is.
        subject: SubjectId,
        /// What was verified of somebody who has a factor.
        proof: Option<FactorVerified>,
    },
    /// The upstream refused: the password is wrong, say.
    Refused,
    /// A passcode is asked for.
    Challenge(Challenge),
    /// Nothing would help.
    Deny(Denial),
}

/// Checks a password, and the passcode of whoever is enrolled, for a sign-in to the gateway's own pages. The token
/// that the upstream issues for it is given to nobody.
///
/// No rule exempts from the passcode here, and whether anything is enforced makes no difference: whoever signs in may
/// change factors. Who has none yet gets in without one, to set one up.
pub async fn sign_in_flow<S, U, C, A, O>(
    flow: &Flow<'_, S, U, C, A, O>,
    mut grant: Box<GatedGrant>,
) -> Result<SignIn, GateError>
where
    S: EnrolmentStore + AttemptLedger + Fingerprints,
    U: TokenUpstream + TokenOwner,
    C: Clock,
    A: Audit,
    O: Orphans,
{
    let facts = std::mem::take(&mut grant.facts);
    let judged = flow.judge(grant, &facts, Purpose::SignIn).await?;
    let Judged { withheld: _, subject, rule, cleared } = match judged {
        Asked::Refused(answer) => {
            // Whoever signs in is told of a wrong password; who runs the pages must know better.
            if let Some(code) = refused_client(answer.body()) {
                tracing::error!(
                    code,
                    "the server refuses the client of the self-service pages ([portal] client_id)"
                );
            }
            return Ok(SignIn::Refused);
        }
        Asked::Judged(judged) => judged,
    };
    let rule = rule.map(|rule| rule.name.as_str());
    let told = Told { subject: subject.as_ref(), asker: facts.asker(), rule, is_enforced: true };
    match (cleared, subject.clone()) {
        (Ok(Cleared::Yes(clearance)), Some(subject)) => {
            flow.record_of(&told, AuditOutcome::SignedIn, None);
            let proof = match clearance {
                Clearance::Verified(proof) => Some(proof),
                Clearance::Exempt(_) | Clearance::Unenforced(_) | Clearance::Continued(_) => None,
            };
            Ok(SignIn::Yes { subject, proof })
        }
        (Ok(Cleared::NotYet(challenge)), _) => {
            flow.record_of(&told, AuditOutcome::Challenged(challenge), None);
            Ok(SignIn::Challenge(challenge))
        }
        (Ok(Cleared::Never(denial)), _) => {
            flow.record_of(&told, AuditOutcome::Denied(denial), None);
            Ok(SignIn::Deny(denial))
        }
        (Ok(Cleared::Yes(_)), None) => Err(OwnerError::NotTold("nobody was named").into()),
        (Err(error), _) => {
            flow.record_of(&told, AuditOutcome::Failed, None);
            Err(error)
        }
    }
}

/// The error code of a refusal that is about the client, not about the person (RFC 6749 section 5.2).
fn refused_client(body: &[u8]) -> Option<&'static str> {
    let refusal: serde_json::Value = serde_json::from_slice(body).ok()?;
    let code = refusal.get("error")?.as_str()?;
    ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"]
        .into_iter()
        .find(|known| *known == code)
}

/// Verifies a passcode of somebody who has signed in, before a change that asks for it once more.
pub async fn verify_flow<S, U, C, A, O>(
    flow: &Flow<'_, S, U, C, A, O>,
    subject: &SubjectId,
    presented: &Presented,
) -> Result<Result<FactorVerified, Challenge>, GateError>
where
    S: EnrolmentStore + AttemptLedger + Fingerprints,
    C: Clock,
    A: Audit,
{
    let enrolment = flow.store.load(subject).await?;
    let cleared = flow.clear(subject, Verdict::IfEnrolled, &enrolment, presented).await?;
    let told = Told { subject: Some(subject), asker: Asker::default(), rule: None, is_enforced: true };
    let challenge = match cleared {
        Cleared::Yes(Clearance::Verified(proof)) => {
            flow.record_of(&told, AuditOutcome::Verified, Some(proof.id()));
            return Ok(Ok(proof));
        }
        Cleared::NotYet(challenge) => challenge,
        // The last factor went meanwhile: there is nothing that could be verified.
        Cleared::Yes(_) | Cleared::Never(_) => Challenge::EnrolmentWanted,
    };
    flow.record_of(&told, AuditOutcome::Challenged(challenge), None);
    Ok(Err(challenge))
}
