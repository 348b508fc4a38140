//! Why a store does not do what it is asked.

use crate::types::limits::{FACTORS_MAX, LABEL_BYTES_MAX, RECOVERY_CODES_MAX};

/// What the rules do not allow. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditDenial {
    /// A subject has as many factors as it may have.
    #[error("a subject may have at most {FACTORS_MAX} factors; remove one, or enrol another subject")]
    TooManyFactors,
    /// So it is with its recovery codes.
    #[error("a subject may have at most {RECOVERY_CODES_MAX} recovery codes")]
    TooManyCodes,
    /// A factor's name is in use.
    #[error("the subject has a factor of that id already")]
    TakenId,
    /// Neither one that counts, nor one that waits.
    #[error("the subject has no factor of that id")]
    NoSuchFactor,
    /// It counts already, or has waited for longer than `PENDING_SECS_MAX`.
    #[error("no factor of that id waits for its confirmation; it may have waited for too long")]
    NotPending,
    /// Only a factor that counts is given another name.
    #[error("the factor of that id waits for its confirmation; confirm it first")]
    Waits,
    /// A secret in clear, which a site's own code wrote.
    #[error("the factor is a plain totp_secret; it is changed by whoever wrote it")]
    IsPlain,
    /// It was to be the first factor, and is not.
    #[error("a factor was set up meanwhile; sign in with it")]
    OthersCount,
    /// Recovery codes stand beside a factor.
    #[error("the subject is not enrolled")]
    NotEnrolled,
    /// A name that is an alias has no factors of its own.
    #[error("that name is an alias; work on the subject, or remove the alias first")]
    IsAlias,
    /// The same, of somebody who is to be reset.
    #[error("that name is an alias; reset the subject that it leads to")]
    ResetOfAlias,
    /// A name that has factors is no alias.
    #[error("that name is enrolled itself, so that it cannot be an alias; disable it first")]
    IsEnrolled,
    /// An alias leads to another name.
    #[error("the two names are one subject already: only their spelling differs")]
    SameSubject,
    /// An alias leads to a subject.
    #[error("the subject is an alias itself; name the subject that it leads to")]
    AliasOfAlias,
    /// A label that is too long, or cannot be seen.
    #[error("a label must be at most {LABEL_BYTES_MAX} bytes long, of characters that are visible")]
    BadLabel,
    /// A secret that is too short or too long.
    #[error("a TOTP secret must have 16 to 128 bytes (128 bits or more)")]
    BadSecret,
    /// A digest of another gateway that is not one.
    #[error("a recovery code's digest must have 48 bytes, its salt included")]
    BadDigest,
    /// Nothing of ours is as long.
    #[error("the record is too long to be sealed")]
    TooLong,
    /// What is searched for cannot be in a name.
    #[error("what is searched for must be part of a user name: no control characters")]
    BadSearch,
    /// A cursor of a list that this store did not give.
    #[error("the cursor must be one that a page ended with")]
    BadCursor,
    /// The master that the cursor leads to is gone.
    #[error("the cluster has changed: list again from the beginning")]
    OldCursor,
    /// A place in the trail that this store did not give.
    #[error("the place must be one that a page ended with")]
    BadPlace,
    /// Only Redis has the stream.
    #[error("the embedded store keeps no events")]
    NoEvents,
    /// It was tried as often as is sensible.
    #[error("others change this subject all the time; try again")]
    Contended,
}
