//! Layer 1: from what was typed to a [`SubjectId`]. Pure.
//!
//! Invariant: two spellings that an upstream's database may take for one user are one subject. The price
//! is that two users whose names differ only in what is folded share their second factor; see
//! `docs/redis.md`.

mod claims;

pub use claims::{ClaimFault, Pointer, subject_at, subject_of_jwt};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

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
    /// What collations take for Latin letters or digits, and Unicode does not decompose.
    #[error("must not contain letters and numerals that no language writes today")]
    Lookalike,
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
    // The iota below a letter is decomposed from what people write; by itself it is an `ι` to MySQL.
    let is_disguised =
        || typed.contains('\u{345}') || typed.chars().any(is_invisible) || typed.nfkd().any(is_lookalike);
    if !typed.is_ascii() && is_disguised() {
        return Err(UsernameFault::Lookalike);
    }
    let folded = fold::coarse(typed);
    if folded.is_empty() {
        return Err(UsernameFault::Empty);
    }
    Ok(SubjectId::from_folded(&folded))
}

/// Letters above and below letters, historic and phonetic ones, runes, and numerals that are no digits:
/// `al\u{365}ce` is `alice` in MySQL's `utf8_unicode_ci`. Nobody's name has them, so that no table of what each
/// collation takes them for is needed.
fn is_lookalike(c: char) -> bool {
    use GeneralCategory::{LetterNumber, OtherNumber};
    matches!(c, '\u{18D}' | '\u{1BE}' | '\u{238}'..='\u{239}' | '\u{2A3}'..='\u{2AB}' | '\u{363}'..='\u{36F}'
        | '\u{16A0}'..='\u{16FF}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1C80}'..='\u{1C8F}' | '\u{1D00}'..='\u{1DFF}'
        | '\u{1EFA}'..='\u{1EFF}' | '\u{2DE0}'..='\u{2DFF}' | '\u{A640}'..='\u{A69F}' | '\u{A720}'..='\u{A7FF}'
        | '\u{A8E0}'..='\u{A8F1}' | '\u{AB30}'..='\u{AB6F}')
        || matches!(c.general_category(), LetterNumber | OtherNumber)
}

/// Isolated forms of Arabic marks, and letters of old scripts that some collation ignores: with them a name is
/// another one here and the same one there.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{6DE}' | '\u{7FA}' | '\u{824}' | '\u{828}' | '\u{180A}' | '\u{1CD3}')
        || matches!(c, '\u{1CF2}'..='\u{1CF3}' | '\u{FC5E}'..='\u{FC63}' | '\u{FCF2}'..='\u{FCF4}')
        || matches!(c, '\u{FE70}'..='\u{FE7F}')
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
    fn a_name_with_letters_that_only_databases_can_read_is_refused() {
        for typed in [
            "al\u{365}ce",
            "bo\u{1DE8}",
            "ali\u{2DED}e",
            "Ꝺavid",
            "eꜳ",
            "bob❿",
            "bob៱",
            "joʦ",
            "\u{FE70}bob",
            "Ν\u{345}κος",
        ] {
            assert_eq!(fold_username(typed), Err(UsernameFault::Lookalike), "{typed}");
        }
        for typed in [
            "José",
            "Müller",
            "ⓐlice",
            "x²",
            "Ⅷ",
            "Nguyễn",
            "عليّ",
            "Жанна",
            "张伟",
            "김",
            "कमल",
            "Gal·la",
            "ᾳ",
        ] {
            assert!(fold_username(typed).is_ok(), "{typed}");
        }
    }

    #[test]
    fn spellings_of_one_name_are_one_subject() {
        assert_eq!(fold_username("ÁLICE "), fold_username("alice"));
    }
}
