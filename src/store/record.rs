//! One factor's record, as both stores keep it: JSON, with the secret sealed.
//!
//! Invariants: the secret is bound to the subject, the factor id and every other field of the record, so that
//! whoever can write to the store can neither move it nor lower its parameters; a record that does not read
//! or does not open is an error that names the factor, and is never passed over.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::envelope;
use crate::{
    factor::{
        Factor,
        totp::{Algorithm, Totp, TotpParameters, decode_base32},
    },
    sealing::{KeyId, KeyRing, NONCE_BYTES, Sealed},
    step_up::{EditDenial, NewFactor, StoreError},
    types::{FactorId, SubjectId, UnixTime},
};

const VERSION: u8 = 1;

/// The fields, in the order of `docs/redis.md`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    v: u8,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    alg: Cow<'a, str>,
    digits: u8,
    period: u32,
    skew: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    enrolled_at: u64,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
    #[serde(borrow)]
    sealed: Cow<'a, str>,
}

/// Whether a factor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It does.
    Active,
    /// Not before it is confirmed with a passcode.
    Pending,
}

/// What a record says of itself without being opened.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) parameters: TotpParameters,
    pub(super) label: Option<String>,
    pub(super) enrolled_at: UnixTime,
    pub(super) key_id: KeyId,
}

/// Seals a factor with the current key.
pub(super) fn seal(
    ring: &KeyRing,
    subject: &SubjectId,
    id: &FactorId,
    state: State,
    new: &NewFactor,
) -> Result<String, StoreError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| StoreError::Failed(error.into()))?;
    let parameters = *new.totp.parameters();
    let described = Described {
        parameters,
        label: new.label.clone(),
        enrolled_at: new.enrolled_at,
        key_id: ring.current_id().clone(),
    };
    let bound = associated_data(subject, id, state, &described);
    let sealed = ring.seal(&bound, nonce, new.totp.expose_secret()).ok_or(EditDenial::TooLong)?;
    let record = Record {
        v: VERSION,
        r#type: "totp".into(),
        alg: parameters.algorithm().as_str().into(),
        digits: parameters.digits(),
        period: parameters.period_secs(),
        skew: parameters.skew_steps(),
        label: described.label,
        enrolled_at: new.enrolled_at.as_secs(),
        kid: sealed.key_id.as_str().into(),
        nonce: data_encoding::BASE64.encode(&sealed.nonce).into(),
        sealed: data_encoding::BASE64.encode(&sealed.ciphertext).into(),
    };
    serde_json::to_string(&record).map_err(|error| StoreError::Failed(error.into()))
}

/// Opens a record.
pub(super) fn open(
    ring: &KeyRing,
    subject: &SubjectId,
    id: &FactorId,
    state: State,
    record: &[u8],
) -> Result<Factor, StoreError> {
    let (described, sealed) = read(id, record)?;
    let bound = associated_data(subject, id, state, &described);
    let secret =
        ring.open(&bound, &sealed).map_err(|source| StoreError::Sealed { record: id.to_string(), source })?;
    let Described { parameters, label, enrolled_at, key_id: _ } = described;
    let totp = Totp::taken_over(parameters, &secret)
        .map_err(|_| malformed(id.as_str(), "its secret must have 10 to 128 bytes"))?;
    Ok(Factor { id: id.clone(), label, enrolled_at: Some(enrolled_at), totp })
}

/// Reads a record without opening it.
pub(super) fn describe(id: &FactorId, record: &[u8]) -> Result<Described, StoreError> {
    read(id, record).map(|(described, _)| described)
}

/// Takes a plain secret that a site's own code wrote.
pub(super) fn plain(text: &[u8], parameters: TotpParameters) -> Result<Factor, StoreError> {
    let rule = "totp_secret must be base32 of 16 to 128 bytes";
    let fault = || malformed("totp_secret", rule);
    let text = std::str::from_utf8(text).map_err(|_| fault())?;
    let secret = decode_base32(text).ok_or_else(fault)?;
    let totp = Totp::new(parameters, &secret).map_err(|_| fault())?;
    let id = FactorId::parse(FactorId::PLAIN).map_err(|_| fault())?;
    Ok(Factor { id, label: None, enrolled_at: None, totp })
}

/// An error that names the record and the rule, and nothing of what is in it.
pub(super) fn malformed(factor: &str, rule: &'static str) -> StoreError {
    StoreError::Malformed { record: factor.to_owned(), rule }
}

fn read(id: &FactorId, record: &[u8]) -> Result<(Described, Sealed), StoreError> {
    let fault = |rule| malformed(id.as_str(), rule);
    let not_json = || fault("it must be the JSON of docs/redis.md");
    // As a text, and not piece by piece: what is UTF-8 need not be asked for each member.
    let text = std::str::from_utf8(record).map_err(|_| not_json())?;
    let record: Record<'_> = serde_json::from_str(text).map_err(|_| not_json())?;
    if record.v != VERSION || record.r#type != "totp" {
        return Err(fault("v must be 1 and type must be 'totp': a newer gateway may have written it"));
    }
    let algorithm =
        Algorithm::parse(&record.alg).ok_or_else(|| fault("alg must be SHA1, SHA256 or SHA512"))?;
    let parameters = TotpParameters::new(algorithm, record.digits, record.period, record.skew)
        .map_err(|_| fault("digits must be 6 to 8, period 15 to 300, skew 0 to 5"))?;
    let key_id = KeyId::parse(&record.kid).ok_or_else(|| fault("kid must be a key id"))?;
    let decode = |text: &str| data_encoding::BASE64.decode(text.as_bytes()).ok();
    let nonce = decode(&record.nonce)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| fault("nonce must be base64 of 24 bytes"))?;
    let ciphertext = decode(&record.sealed).ok_or_else(|| fault("sealed must be base64"))?;
    let enrolled_at = UnixTime::from_secs(record.enrolled_at);
    let described = Described { parameters, label: record.label, enrolled_at, key_id: key_id.clone() };
    Ok((described, Sealed { key_id, nonce, ciphertext }))
}

/// All public fields. A factor that waits for its confirmation is bound to waiting: its record is none of a factor
/// that counts.
fn associated_data(subject: &SubjectId, id: &FactorId, state: State, described: &Described) -> Vec<u8> {
    let Described { parameters, label, enrolled_at, .. } = described;
    let purpose: &[u8] = match state {
        State::Active => b"tfa-gateway totp v1",
        State::Pending => b"tfa-gateway pending totp v1",
    };
    let (digits_and_skew, period) =
        ([parameters.digits(), parameters.skew_steps()], parameters.period_secs());
    let (period, enrolled_at) = (period.to_be_bytes(), enrolled_at.as_secs().to_be_bytes());
    let mut parts: Vec<&[u8]> = vec![
        purpose,
        subject.as_str().as_bytes(),
        id.as_str().as_bytes(),
        parameters.algorithm().as_str().as_bytes(),
        &digits_and_skew,
        &period,
        &enrolled_at,
    ];
    match label {
        None => parts.push(&[]),
        Some(label) => parts.extend([&[1], label.as_bytes()]),
    }
    envelope::associated_data(&parts)
}

/// A name for a factor that was given none: 64 random bits.
pub(super) fn random_factor_id() -> Result<FactorId, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Failed(error.into()))?;
    FactorId::parse(&data_encoding::HEXLOWER.encode(&bytes)).map_err(|error| StoreError::Failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::fold_username, sealing::KEY_BYTES, types::Secret};

    fn ring() -> KeyRing {
        KeyRing::new((KeyId::parse("k1").unwrap(), Secret::new([3; KEY_BYTES])), vec![])
    }

    fn record(label: Option<&str>) -> (SubjectId, FactorId, String) {
        let (subject, id) = (fold_username("alice").unwrap(), FactorId::parse("f1").unwrap());
        let totp = Totp::new(TotpParameters::default(), &Secret::new(vec![9; 20])).unwrap();
        let enrolled_at = UnixTime::from_secs(1_700_000_000);
        let new = NewFactor { id: None, label: label.map(Into::into), enrolled_at, totp };
        let record = seal(&ring(), &subject, &id, State::Active, &new).unwrap();
        (subject, id, record)
    }

    #[test]
    fn a_record_opens_as_it_was_sealed() {
        let (subject, id, record) = record(Some("phone"));
        let factor = open(&ring(), &subject, &id, State::Active, record.as_bytes()).unwrap();
        assert_eq!(factor.totp.expose_secret(), [9; 20]);
        assert_eq!((factor.label.as_deref(), &factor.id), (Some("phone"), &id));
        let escaped = record.replace("SHA1", r"\u0053HA1").replace(r#""totp""#, r#""\u0074otp""#);
        assert!(open(&ring(), &subject, &id, State::Active, escaped.as_bytes()).is_ok(), "{escaped}");
        assert!(!record.contains("CQkJ"), "{record}");
    }

    #[test]
    fn a_record_opens_nowhere_else_and_with_no_other_parameters() {
        let (subject, id, record) = record(None);
        let bob = fold_username("bob").unwrap();
        let opened = |subject: &SubjectId, id: &FactorId, state, record: &str| {
            open(&ring(), subject, id, state, record.as_bytes())
        };
        assert!(opened(&bob, &id, State::Active, &record).is_err());
        assert!(opened(&subject, &FactorId::parse("f2").unwrap(), State::Active, &record).is_err());
        assert!(opened(&subject, &id, State::Pending, &record).is_err());
        for (from, to) in [
            ("\"digits\":6", "\"digits\":7"),
            ("\"period\":30", "\"period\":300"),
            ("\"skew\":1", "\"skew\":5"),
            ("SHA1", "SHA256"),
            ("1700000000", "1700000001"),
            ("\"v\":1,", "\"v\":1,\"label\":\"\","),
            ("\"v\":1,", "\"v\":2,"),
            ("\"v\":1,", "\"v\":1,\"extra\":1,"),
            ("\"kid\":\"k1\"", "\"kid\":\"k2\""),
            ("\"kid\":\"k1\"", "\"kid\":1"),
        ] {
            let altered = record.replace(from, to);
            assert_ne!(altered, record, "{from}");
            assert!(opened(&subject, &id, State::Active, &altered).is_err(), "{from} -> {to}");
        }
    }
}
