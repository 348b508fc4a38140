//! Layer 1: from what was typed to a [`SubjectId`]. Pure.
//!
//! Invariant: two spellings that an upstream's database may take for one user are one subject. The price
//! is that two users whose names differ only in what is folded share their second factor; see
//! `docs/redis.md`.

use crate::types::{SubjectId, fold, limits::USERNAME_BYTES_MAX};

/// Why a user name cannot be a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsernameFault {
    /// Nothing is left of it after folding.
    #[error("must not be empty")]
    Empty,
    /// Longer than 1024 bytes.
    #[error("must be at most 1024 bytes long")]
    TooLong,
    /// Control characters: databases ignore some, and cut the name at others.
    #[error("must not contain control characters")]
    Control,
    /// Characters above U+FFFF: MySQL's three-byte `utf8` cuts the name before them, and its older
    /// collations take all of them for one.
    #[error("must not contain characters above U+FFFF")]
    AboveBmp,
}

/// Folds a user name, as typed, to the subject that it claims to be.
pub fn fold_username(typed: &str) -> Result<SubjectId, UsernameFault> {
    if typed.len() > USERNAME_BYTES_MAX {
        return Err(UsernameFault::TooLong);
    }
    if typed.chars().any(char::is_control) {
        return Err(UsernameFault::Control);
    }
    if typed.chars().any(|c| c > '\u{FFFF}') {
        return Err(UsernameFault::AboveBmp);
    }
    let folded = fold::coarse(typed);
    if folded.is_empty() {
        return Err(UsernameFault::Empty);
    }
    Ok(SubjectId::from_folded(&folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_database_would_cut_or_ignore_is_refused() {
        assert_eq!(fold_username("alice\0"), Err(UsernameFault::Control));
        assert_eq!(fold_username("alice😀"), Err(UsernameFault::AboveBmp));
        assert_eq!(fold_username(" \u{301} "), Err(UsernameFault::Empty));
        assert_eq!(fold_username(&"a".repeat(1025)), Err(UsernameFault::TooLong));
    }

    #[test]
    fn spellings_of_one_name_are_one_subject() {
        assert_eq!(fold_username("ÁLICE "), fold_username("alice"));
    }
}
