//! Text folded more coarsely than any database compares it.
//!
//! Used for two questions that must never be answered "different" when an upstream would say "equal":
//! are two user names one subject, and is a path the token endpoint in disguise?

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Folds case, accents, width, compatibility forms, letters with strokes, ligatures, dotless i, final
/// letters, digits of all scripts and kana; takes `y` for `u` and every run of `s` for one; drops what
/// collations ignore (marks, the middle dot, format and control characters); makes every run of white
/// space one space and removes it at both ends. Folding twice changes nothing.
///
/// The steps are written down in `docs/redis.md`, so that a site's own code can make the same keys.
pub fn coarse(text: &str) -> String {
    if text.is_ascii() {
        // Nothing to decompose, and each letter has one other case.
        let kept = text.chars().filter(|c| c.is_whitespace() || !c.is_control());
        return joined(kept.map(|c| c.to_ascii_lowercase()), text.len());
    }
    // By way of upper case, where `ı`, `ſ` and `ß` meet their twins; `ẞ` only gets there from lower case.
    let letters = text.nfkd().filter(|c| !is_ignored(*c));
    let lower =
        letters.flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    joined(lower.nfkd().filter(|c| !is_ignored(*c)), text.len())
}

/// Takes letters of one case for those that they are equated with, and every run of white space for one space.
fn joined(letters: impl Iterator<Item = char>, capacity: usize) -> String {
    let mut folded = String::with_capacity(capacity);
    for c in letters {
        if c.is_whitespace() {
            if !folded.is_empty() && !folded.ends_with(' ') {
                folded.push(' ');
            }
        } else if let Some(letters) = plain_letters(c) {
            letters.chars().for_each(|c| push(&mut folded, c));
        } else {
            push(&mut folded, digit(c).unwrap_or_else(|| hiragana(c)));
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// `ß` is `s` in `utf8_general_ci` and `ss` in `utf8_unicode_ci`, so that one `s` and two are the same.
fn push(folded: &mut String, c: char) {
    if c != 's' || !folded.ends_with('s') {
        folded.push(c);
    }
}

/// Marks on and beside letters, what is not visible at all, the dot of `ŀ` and the stroke that lengthens Arabic
/// words. White space is not ignored.
fn is_ignored(c: char) -> bool {
    use GeneralCategory::{Control, EnclosingMark, Format, NonspacingMark, SpacingMark};
    matches!(c, '·' | '\u{640}')
        || !c.is_whitespace()
            && matches!(c.general_category(), NonspacingMark | SpacingMark | EnclosingMark | Format | Control)
}

/// The ASCII digit that a decimal digit of any script is equated with. Each script has its ten in a row, most
/// of them from the start of a line of 16.
fn digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return None;
    }
    let is_digit = c.general_category() == GeneralCategory::DecimalNumber;
    let zero = if matches!(c, '\u{966}'..='\u{DEF}' | '\u{1946}'..='\u{194F}') { 6 } else { 0 };
    if is_digit { char::from_digit((c as u32 % 16).checked_sub(zero)?, 10) } else { None }
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
        // `ü` is `u` nearly everywhere, and `y` in `latin1_swedish_ci`, MySQL's default for twenty years.
        'y' | 'ƴ' => "u",
        'ƶ' | 'ȥ' => "z",
        'ς' => "σ",
        'ך' => "כ",
        'ם' => "מ",
        'ן' => "נ",
        'ף' => "פ",
        'ץ' => "צ",
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
            ("thomaß", "thomas"),
            ("Weiß", "weis"),
            ("sȿ", "ȿs"),
            ("alice\u{903}", "alice"),
            ("عـلي", "علي"),
            ("marü", "Mary"),
            ("bob١۲३", "bob123"),
            ("x๙᥏", "x99"),
            ("Gaŀa", "gala"),
            ("שלום", "שלומ"),
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

        /// A letter behind it that is none takes it the long way.
        #[test]
        fn ascii_is_folded_as_what_is_decomposed(text in "[\\x00-\\x7f]*") {
            let long_way = coarse(&format!("{text}张"));
            proptest::prop_assert_eq!(coarse(&text), long_way.trim_end_matches('张').trim_end());
        }
    }
}
