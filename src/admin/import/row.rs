//! One row of what is imported, and why it may be none.

use std::io;

use crate::{
    factor::{
        PresentedRecoveryCode,
        totp::{Algorithm, TotpFault, TotpParameters, decode_base32},
    },
    identity::UsernameFault,
    sealing::SealingError,
    step_up::TakenCode,
    types::{FactorId, Secret, UnixTime, limits::RECOVERY_CODE_BYTES_TAKEN_OVER_MAX},
};

/// One row.
#[derive(Debug)]
pub struct Row {
    /// The line on which it begins; the first is 1.
    pub line: u64,
    /// Whose it is, as it is written there, if that can be read of a row that is bad otherwise.
    pub subject: Option<String>,
    /// What it says.
    pub entry: Result<Entry, RowFault>,
}

/// What a row says.
#[derive(Debug)]
pub enum Entry {
    /// Somebody has a factor.
    Factor(Box<IncomingFactor>),
    /// A name is another name of a subject.
    Alias {
        /// The other name.
        alias: String,
        /// Whose.
        subject: String,
    },
}

/// A factor as another system knows it.
#[derive(Debug)]
pub struct IncomingFactor {
    /// Whose, as it is written there.
    pub subject: String,
    /// Its id, if it comes from another gateway.
    pub id: Option<FactorId>,
    /// The shared secret.
    pub secret: Secret<Vec<u8>>,
    /// Algorithm, digits, period and skew.
    pub parameters: TotpParameters,
    /// What the person calls it.
    pub label: Option<String>,
    /// When it was enrolled there.
    pub enrolled_at: Option<UnixTime>,
    /// Recovery codes that were not used.
    pub recovery_codes: Vec<TakenCode>,
    /// The last step that was accepted there, at the latest.
    pub last_used_step: Option<u64>,
}

impl IncomingFactor {
    /// One of which no more is known than what every format says.
    pub(super) fn new(subject: String, secret: Secret<Vec<u8>>, parameters: TotpParameters) -> Self {
        Self {
            subject,
            id: None,
            secret,
            parameters,
            label: None,
            enrolled_at: None,
            recovery_codes: Vec::new(),
            last_used_step: None,
        }
    }

    pub(super) fn into_entry(self) -> Entry {
        Entry::Factor(Box::new(self))
    }
}

/// Why a row is not imported. It names the rule, and nothing of a secret.
#[derive(Debug, thiserror::Error)]
pub enum RowFault {
    /// A rule of the format, or something that the gateway does not do.
    #[error("{0}")]
    Rule(&'static str),
    /// The same of a named column.
    #[error("{column}: {rule}")]
    Column {
        /// As the header names it.
        column: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The name.
    #[error("the subject {0}")]
    Subject(#[from] UsernameFault),
    /// The parameters.
    #[error(transparent)]
    Totp(#[from] TotpFault),
    /// A sealed line.
    #[error(transparent)]
    Sealed(#[from] SealingError),
    /// It has several lines.
    #[error(
        "a quotation mark opens here that is closed on line {last} or not at all: no row up to there was read; close it, \
         and import again"
    )]
    Lines {
        /// The last one.
        last: u64,
    },
    /// The file.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
}

impl RowFault {
    pub(super) fn column(column: &str, rule: &'static str) -> Self {
        Self::Column { column: column.to_owned(), rule }
    }
}

/// A row that is bad.
pub(super) const fn bad(line: u64, fault: RowFault) -> Row {
    Row { line, subject: None, entry: Err(fault) }
}

/// Reads a base32 secret.
pub(super) fn base32(text: &str) -> Result<Secret<Vec<u8>>, RowFault> {
    decode_base32(text)
        .filter(|secret| !secret.expose().is_empty())
        .ok_or(RowFault::Rule("the secret must be base32 (letters A to Z and digits 2 to 7), and it is not"))
}

/// Reads parameters as most formats write them; `None` is SHA-1, six digits, 30 seconds.
pub(super) fn parameters(
    algorithm: Option<&str>,
    digits: Option<&str>,
    period: Option<&str>,
    skew_steps: u8,
) -> Result<TotpParameters, RowFault> {
    let algorithm = algorithm.map(str::trim).filter(|text| !text.is_empty());
    let algorithm = algorithm.map_or(Some(Algorithm::Sha1), algorithm_of);
    let algorithm = algorithm.ok_or(RowFault::Rule("the algorithm must be SHA1, SHA256 or SHA512"))?;
    let number = |text: Option<&str>, default: u32| match text.map(str::trim).filter(|text| !text.is_empty())
    {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let digits = number(digits, 6).and_then(|digits| u8::try_from(digits).ok());
    let digits = digits.ok_or(RowFault::Totp(TotpFault::Digits))?;
    let period = number(period, 30).ok_or(RowFault::Totp(TotpFault::Period))?;
    Ok(TotpParameters::new(algorithm, digits, period, skew_steps)?)
}

/// `SHA1`, `sha-256` and `HmacSHA512` alike.
fn algorithm_of(text: &str) -> Option<Algorithm> {
    let name = text.get(..4).filter(|start| start.eq_ignore_ascii_case("hmac")).map_or(text, |_| &text[4..]);
    Algorithm::parse(name)
}

/// Reads a recovery code.
pub(super) fn recovery_code(text: &[u8]) -> Result<TakenCode, RowFault> {
    // Several, with another separator than is expected, would be taken for one that nobody has.
    if text.len() > RECOVERY_CODE_BYTES_TAKEN_OVER_MAX {
        return Err(RowFault::Rule("a recovery code must have 40 characters at most; are they several?"));
    }
    PresentedRecoveryCode::parse(text)
        .map(TakenCode::Plain)
        .ok_or(RowFault::Rule("a recovery code must have 8 letters and digits or more"))
}

/// Reads Unix seconds, or a date and time with its zone (RFC 3339).
pub(super) fn time(text: &str) -> Option<UnixTime> {
    let text = text.trim();
    if let Ok(secs) = text.parse() {
        return Some(UnixTime::from_secs(secs));
    }
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_second()).ok().map(UnixTime::from_secs)
}

/// The latest step that a code can have had which was accepted at a time, by a server that accepts `ahead` steps of the
/// future.
pub(super) fn latest_step(at: UnixTime, parameters: TotpParameters, ahead: u64) -> u64 {
    (at.as_secs() / u64::from(parameters.period_secs())).saturating_add(ahead)
}
