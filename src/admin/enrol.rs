//! Enrolling a TOTP factor.

use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    factor::totp::{Totp, TotpParameters},
    step_up::{EnrolmentRegistry, NewFactor, StoreError},
    types::{
        FactorId, Secret, SubjectId, UnixTime,
        limits::{LABEL_BYTES_MAX, TOTP_SECRET_BYTES},
    },
};

/// What is to be enrolled.
#[derive(Debug)]
pub struct NewEnrolment {
    /// A secret to take over; `None` makes one of 160 bits.
    pub secret: Option<Secret<Vec<u8>>>,
    /// Algorithm, digits, period and skew.
    pub parameters: TotpParameters,
    /// What the person calls the factor.
    pub label: Option<String>,
    /// Who issues it, as authenticator apps show it.
    pub issuer: String,
    /// The account name, as authenticator apps show it.
    pub account: String,
}

/// What the person needs to set up an authenticator, to be shown once.
#[derive(Debug)]
pub struct Enrolled {
    /// The new factor.
    pub factor_id: FactorId,
    /// How many factors the subject has now.
    pub factors: usize,
    /// The secret, to be typed. Never to be logged.
    pub secret_base32: Zeroizing<String>,
    /// The key URI, to be drawn as a QR code. Never to be logged.
    pub otpauth_uri: Zeroizing<String>,
}

impl Enrolled {
    /// The documented JSON of `tfa-gateway enrol --json`. It holds the secret.
    pub fn to_json(&self, subject: &SubjectId) -> serde_json::Value {
        json!({
            "subject": subject.as_str(),
            "factor_id": self.factor_id.as_str(),
            "factors": self.factors,
            "secret": *self.secret_base32,
            "otpauth_uri": *self.otpauth_uri,
        })
    }
}

/// Adds a factor to a subject.
pub async fn enrol(
    registry: &impl EnrolmentRegistry,
    subject: &SubjectId,
    new: NewEnrolment,
    now: UnixTime,
) -> Result<Enrolled, StoreError> {
    let label = new.label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
    if label.as_ref().is_some_and(|l| l.len() > LABEL_BYTES_MAX || l.chars().any(char::is_control)) {
        return Err(StoreError::Refused("a label must be at most 64 bytes long, without control characters"));
    }
    let secret = match new.secret {
        Some(secret) => secret,
        None => random_secret()?,
    };
    let totp = Totp::new(new.parameters, &secret)
        .map_err(|_| StoreError::Refused("a TOTP secret must have 16 to 128 bytes (128 bits or more)"))?;
    let secret_base32 = totp.secret_base32();
    let otpauth_uri = totp.otpauth_uri(&new.issuer, &new.account);
    let (factor_id, factors) =
        registry.enrol(subject, NewFactor { id: None, label, enrolled_at: now, totp }).await?;
    Ok(Enrolled { factor_id, factors, secret_base32, otpauth_uri })
}

fn random_secret() -> Result<Secret<Vec<u8>>, StoreError> {
    let mut bytes = vec![0; TOTP_SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Failed(error.into()))?;
    Ok(Secret::new(bytes))
}
