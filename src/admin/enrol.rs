//! What is made for a person, and shown to them once.

use serde_json::json;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};
use zeroize::Zeroizing;

use crate::{
    factor::{
        Factor, PresentedRecoveryCode, recovery_code_text,
        totp::{Totp, TotpParameters},
    },
    step_up::{EditDenial, NewFactor, StoreError},
    types::{
        FactorId, Secret, SubjectId, UnixTime,
        limits::{LABEL_BYTES_MAX, RECOVERY_CODE_BYTES, RECOVERY_CODES, TOTP_SECRET_BYTES},
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
    /// How many factors the subject has now; `None` if this one waits for its confirmation.
    pub factors: Option<usize>,
    /// The secret, to be typed. Never to be logged.
    pub secret_base32: Zeroizing<String>,
    /// The key URI, to be drawn as a QR code. Never to be logged.
    pub otpauth_uri: Zeroizing<String>,
    /// Whether it stands in the audit trail. It counts all the same, so that it must be shown all the same.
    pub is_recorded: bool,
}

impl Enrolled {
    /// The documented JSON of `tfa-gateway enrol --json`. It holds the secret.
    pub fn to_json(&self, subject: &SubjectId) -> serde_json::Value {
        let json = json!({
            "subject": subject.as_str(),
            "factor_id": self.factor_id.as_str(),
            "is_pending": self.factors.is_none(),
            "factors": self.factors,
            "secret": *self.secret_base32,
            "otpauth_uri": *self.otpauth_uri,
        });
        with_record(json, self.is_recorded)
    }
}

/// Says so where something was made that is not in the audit trail.
fn with_record(mut json: serde_json::Value, is_recorded: bool) -> serde_json::Value {
    if let (false, Some(members)) = (is_recorded, json.as_object_mut()) {
        members.insert("recorded".into(), false.into());
    }
    json
}

/// What is shown of a new factor, before it has a name.
pub(super) struct Shown {
    secret_base32: Zeroizing<String>,
    otpauth_uri: Zeroizing<String>,
}

impl Shown {
    pub(super) fn of(self, factor_id: FactorId, factors: Option<usize>, is_recorded: bool) -> Enrolled {
        let Self { secret_base32, otpauth_uri } = self;
        Enrolled { factor_id, factors, secret_base32, otpauth_uri, is_recorded }
    }
}

/// Checks what is to be enrolled, and makes a secret where none is given.
pub(super) fn prepare(new: NewEnrolment, now: UnixTime) -> Result<(NewFactor, Shown), StoreError> {
    let label = checked_label(new.label)?;
    let secret = match new.secret {
        Some(secret) => secret,
        None => random_secret()?,
    };
    let totp = Totp::new(new.parameters, &secret).map_err(|_| EditDenial::BadSecret)?;
    let shown = Shown {
        secret_base32: totp.secret_base32(),
        otpauth_uri: totp.otpauth_uri(&new.issuer, &new.account),
    };
    Ok((NewFactor { id: None, label, enrolled_at: now, totp }, shown))
}

/// What was shown when a factor was proposed.
pub(super) fn shown_again(factor: Factor, issuer: &str, account: &str) -> Enrolled {
    let shown = Shown {
        secret_base32: factor.totp.secret_base32(),
        otpauth_uri: factor.totp.otpauth_uri(issuer, account),
    };
    shown.of(factor.id, None, true)
}

/// It is shown on terminals: what turns the direction of writing, or ends a line, has no place in it.
fn is_legible(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    !matches!(c.general_category(), Control | Format | LineSeparator | ParagraphSeparator)
}

/// A label as it is kept: trimmed, and none if it is empty.
pub fn checked_label(label: Option<String>) -> Result<Option<String>, EditDenial> {
    let label = label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
    if label.as_ref().is_some_and(|l| l.len() > LABEL_BYTES_MAX || !l.chars().all(is_legible)) {
        return Err(EditDenial::BadLabel);
    }
    Ok(label)
}

/// Recovery codes, to be shown once. Never to be logged.
#[derive(Debug)]
pub struct RecoveryCodes {
    pub(super) codes: Vec<Zeroizing<String>>,
    /// Whether that they were made stands in the audit trail. They work all the same.
    pub is_recorded: bool,
}

impl RecoveryCodes {
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut codes = Vec::with_capacity(RECOVERY_CODES);
        for _ in 0..RECOVERY_CODES {
            let mut random = Zeroizing::new([0; RECOVERY_CODE_BYTES]);
            getrandom::fill(&mut *random).map_err(|error| StoreError::Failed(error.into()))?;
            codes.push(recovery_code_text(&random));
        }
        Ok(Self { codes, is_recorded: false })
    }

    pub(super) fn presented(&self) -> Vec<PresentedRecoveryCode> {
        self.codes.iter().filter_map(|code| PresentedRecoveryCode::parse(code.as_bytes())).collect()
    }

    /// The documented JSON of `tfa-gateway recovery-codes --json`. It holds the codes.
    pub fn to_json(&self, subject: &SubjectId) -> serde_json::Value {
        let texts: Vec<&str> = self.texts().collect();
        with_record(json!({ "subject": subject.as_str(), "recovery_codes": texts }), self.is_recorded)
    }

    /// The codes, as a person types them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.codes.iter().map(|code| code.as_str())
    }
}

fn random_secret() -> Result<Secret<Vec<u8>>, StoreError> {
    let mut bytes = vec![0; TOTP_SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Failed(error.into()))?;
    Ok(Secret::new(bytes))
}
