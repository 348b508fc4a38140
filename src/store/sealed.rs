//! From what lies in a store to factors, the same for both stores.

use super::{
    StoreSettings,
    key_file::KeySource,
    record::{self, PLAIN_FACTOR, malformed},
};
use crate::{
    factor::Factor,
    identity::fold_username,
    policy::Enrolment,
    step_up::{FactorStatus, NewFactor, StoreError},
    types::{FactorId, NonEmpty, SubjectId},
};

/// A subject has as many factors as it may have.
pub(super) const TOO_MANY: StoreError =
    StoreError::Refused("a subject may have at most 5 factors; disable it, or enrol another");
/// A factor's name is in use.
pub(super) const TAKEN: StoreError = StoreError::Refused("the subject has a factor of that id already");

/// A name that is an alias has no factors of its own.
pub(super) const IS_ALIAS: StoreError =
    StoreError::Refused("that name is an alias; work on the subject, or remove the alias first");
/// A name that has factors is no alias.
pub(super) const IS_ENROLLED: StoreError =
    StoreError::Refused("that name is enrolled itself, so that it cannot be an alias; disable it first");

/// Reads whose other name a name is, as it is stored.
pub(super) fn parse_alias(stored: &[u8]) -> Result<SubjectId, StoreError> {
    std::str::from_utf8(stored)
        .ok()
        .and_then(|text| fold_username(text).ok().filter(|folded| folded.as_str() == text))
        .ok_or_else(|| malformed("alias_of", "it must be a folded user name (docs/redis.md)"))
}

/// One factor as a store keeps it.
#[derive(Debug, Clone, Copy)]
pub(super) enum StoredFactor<'a> {
    /// Its id and its record.
    Sealed(&'a str, &'a [u8]),
    /// A secret in base32, written by a site's own code.
    Plain(&'a [u8]),
}

/// Names and seals a factor that is to be enrolled.
pub(super) fn seal_new(
    keys: &KeySource,
    subject: &SubjectId,
    new: &NewFactor,
) -> Result<(FactorId, String), StoreError> {
    let id = match &new.id {
        Some(id) => id.clone(),
        None => record::random_factor_id()?,
    };
    let record = keys.with(|ring| record::seal(ring, subject, &id, new))?;
    Ok((id, record))
}

/// Opens all factors of a subject. One that does not open fails the whole: if it were passed over, whoever
/// can write to the store could take a person's factors away one by one.
pub(super) fn open_all(
    keys: &KeySource,
    subject: &SubjectId,
    stored: &[StoredFactor<'_>],
    settings: &StoreSettings,
) -> Result<Enrolment, StoreError> {
    let factors =
        stored.iter().map(|factor| open(keys, subject, factor, settings)).collect::<Result<_, _>>()?;
    Ok(NonEmpty::from_vec(factors).map_or(Enrolment::Absent, Enrolment::Active))
}

fn open(
    keys: &KeySource,
    subject: &SubjectId,
    stored: &StoredFactor<'_>,
    settings: &StoreSettings,
) -> Result<Factor, StoreError> {
    match *stored {
        StoredFactor::Plain(_) if !settings.plain_secrets => Err(malformed(
            "totp_secret",
            "plain secrets are honoured only if the configuration has [store] plain_secrets = true",
        )),
        StoredFactor::Plain(secret) => record::plain(secret, settings.default_totp),
        StoredFactor::Sealed(id, record) => {
            let id = parse_id(id)?;
            let attempt = || keys.with(|ring| record::open(ring, subject, &id, record));
            match attempt() {
                Err(StoreError::Sealed { source, .. }) if keys.reread_after(&source) => attempt(),
                other => other,
            }
        }
    }
}

/// What `status` says of one factor, whether or not it opens.
pub(super) fn describe(
    keys: &KeySource,
    subject: &SubjectId,
    stored: &StoredFactor<'_>,
    settings: &StoreSettings,
) -> FactorStatus {
    let problem = open(keys, subject, stored, settings).err().map(|error| match error {
        StoreError::Sealed { source, .. } => source.to_string(),
        other => other.to_string(),
    });
    match *stored {
        StoredFactor::Plain(_) => FactorStatus {
            id: PLAIN_FACTOR.to_owned(),
            label: None,
            parameters: Some(settings.default_totp),
            enrolled_at: None,
            key_id: None,
            problem,
        },
        StoredFactor::Sealed(id, record) => {
            let described = parse_id(id).and_then(|id| record::describe(&id, record)).ok();
            FactorStatus {
                id: id.to_owned(),
                label: described.as_ref().and_then(|d| d.label.clone()),
                parameters: described.as_ref().map(|d| d.parameters),
                enrolled_at: described.as_ref().map(|d| d.enrolled_at),
                key_id: described.map(|d| d.key_id.to_string()),
                problem,
            }
        }
    }
}

/// What `status` says of something that this version does not know.
pub(super) fn describe_unknown(field: &str) -> FactorStatus {
    FactorStatus {
        id: field.to_owned(),
        label: None,
        parameters: None,
        enrolled_at: None,
        key_id: None,
        problem: Some("this version does not know such a field".to_owned()),
    }
}

fn parse_id(id: &str) -> Result<FactorId, StoreError> {
    FactorId::parse(id)
        .map_err(|_| malformed("enrolment", "a factor id must be 1 to 32 of a-z, 0-9, '-' and '_'"))
}
