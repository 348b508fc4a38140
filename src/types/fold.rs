//! Text folded more coarsely than any database compares it.
//!
//! Used for two questions that must never be answered "different" when an upstream would say "equal":
//! are two user names one subject, and is a path the token endpoint in disguise?

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Folds case, accents, width, compatibility forms, letters with strokes, ligatures, dotless i and
/// kana; drops what collations ignore (marks, format and control characters); makes every run of white
/// space one space and removes it at both ends. Folding twice changes nothing.
///
/// The steps are written down in `docs/redis.md`, so that a site's own code can make the same keys.
pub fn coarse(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    // By way of upper case, where `ı`, `ſ` and `ß` meet their twins; `ẞ` only gets there from lower case.
    let letters = text.nfkd().filter(|c| !is_ignored(*c));
    let lower =
        letters.flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    for c in lower.nfkd().filter(|c| !is_ignored(*c)) {
        if c.is_whitespace() {
            if !folded.is_empty() && !folded.ends_with(' ') {
                folded.push(' ');
            }
        } else if let Some(letters) = plain_letters(c) {
            folded.push_str(letters);
        } else {
            folded.push(hiragana(c));
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Marks over and under letters, and what is not visible at all. White space is not ignored.
fn is_ignored(c: char) -> bool {
    use GeneralCategory::{Control, EnclosingMark, Format, NonspacingMark};
    !c.is_whitespace() && matches!(c.general_category(), NonspacingMark | EnclosingMark | Format | Control)
}

/// Letters that Unicode does not decompose, but that some collation equates with plain ones.
const fn plain_letters(c: char) -> Option<&'static str> {
    Some(match c {
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' | 'ɖ' | 'ɗ' => "d",
        'ħ' => "h",
        'ı' | 'ɨ' | 'ӏ' => "i",
        'ł' | 'ƚ' => "l",
        'ŧ' | 'ƭ' => "t",
        'þ' => "th",
        'ŋ' | 'ɲ' => "n",
        'ƀ' | 'ɓ' => "b",
        'ƈ' => "c",
        'ə' | 'ɛ' | 'ǝ' => "e",
        'ƒ' => "f",
        'ɠ' | 'ǥ' => "g",
        'ƙ' => "k",
        'ƥ' => "p",
        'ȿ' | 'ʂ' => "s",
        'ʋ' => "v",
        'ƴ' => "y",
        'ƶ' | 'ȥ' => "z",
        'ς' => "σ",
        _ => return None,
    })
}

/// Katakana and small kana to the full-size hiragana that primary-strength collations equate them with.
fn hiragana(c: char) -> char {
    let code = match c as u32 {
        katakana @ 0x30A1..=0x30F6 => katakana - 0x60,
        other => other,
    };
    let full_size = match code {
        0x3041 | 0x3043 | 0x3045 | 0x3047 | 0x3049 | 0x3063 | 0x3083 | 0x3085 | 0x3087 | 0x308E => code + 1,
        0x3095 => 0x304B,
        0x3096 => 0x3051,
        other => other,
    };
    char::from_u32(full_size).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::coarse;

    #[test]
    fn spellings_that_a_database_equates_are_one() {
        for spelling in [
            "alice",
            "ALICE",
            "Álice",
            "a\u{301}lice",
            "ａｌｉｃｅ",
            "alıce",
            "ALİCE",
            " alice ",
            "alice\u{a0}",
            "al\u{ad}ice",
            "al\u{200b}ice",
            "ⓐⓛⓘⓒⓔ",
            "\u{feff}alice",
            "alice\t",
        ] {
            assert_eq!(coarse(spelling), "alice", "{spelling:?}");
        }
        for (one, other) in [
            ("straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("Ærø", "aero"),
            ("Łódź", "lodz"),
            ("ﬁnn", "finn"),
            ("Σίσυφος", "ΣΙΣΥΦΟΣ"),
            ("カタ", "かた"),
            ("ｶﾞ", "か"),
            ("ё", "Е"),
            ("ſam", "SAM"),
            ("đorđe", "DORDE"),
            ("ALI\u{307}CE", "alice"),
            ("ᾳ", "α"),
            ("ΐ", "Ι"),
        ] {
            assert_eq!(coarse(one), coarse(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn different_names_stay_different() {
        assert_ne!(coarse("alice"), coarse("alicia"));
        assert_ne!(coarse("张"), coarse("章"));
        assert_ne!(coarse("a b"), coarse("ab"));
    }

    proptest::proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in "\\PC*") {
            let once = coarse(&text);
            proptest::prop_assert_eq!(coarse(&once), once);
        }
    }
}
