//! Recovery codes, for whoever has lost their authenticator. Each works once.

use zeroize::Zeroizing;

use super::Passcode;
use crate::types::{
    FactorId, Secret,
    limits::{
        PASSCODE_BYTES_MAX, RECOVERY_CODE_BYTES, RECOVERY_CODE_CHARACTERS_MIN,
        RECOVERY_CODE_CHARACTERS_TAKEN_OVER_MIN,
    },
};

/// Base 32 without the letters that are easily misread (i, l, o, u).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters between two dashes.
const GROUP: usize = 4;

/// One unused recovery code of a subject: its name, and the salted digest that a store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryCode {
    /// Its name, unique among all codes that the subject ever had.
    pub id: FactorId,
    /// What the store keeps of it; only whoever holds the sealing keys can compare it.
    pub record: Box<[u8]>,
}

/// What was presented in place of a passcode, if it can be a recovery code: lower case, without dashes.
#[derive(Debug, Clone)]
pub struct PresentedRecoveryCode(Secret<Vec<u8>>);

impl PresentedRecoveryCode {
    /// A passcode has at most eight digits; a recovery code is longer, and of letters and digits only. Dashes do not
    /// count, nor does case, and `i`, `l` and `o` are the digits that they look like. One that was taken over may have
    /// eight characters: `passcode_digits` says whether any authenticator of the subject could show as many.
    pub fn from_passcode(passcode: &Passcode, mut passcode_digits: impl Iterator<Item = u8>) -> Option<Self> {
        Self::parse(passcode.expose()).filter(|code| {
            let length = code.expose().len();
            length >= RECOVERY_CODE_CHARACTERS_MIN
                || passcode_digits.all(|digits| usize::from(digits) != length)
        })
    }

    /// The same from a text that is known to be a recovery code, such as one that is taken over.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let kept = text.iter().filter(|b| **b != b'-' && !b.is_ascii_whitespace());
        let read = kept.map(|b| match b.to_ascii_lowercase() {
            b'i' | b'l' => b'1',
            b'o' => b'0',
            other => other,
        });
        let code = Secret::new(read.take(PASSCODE_BYTES_MAX).collect::<Vec<u8>>());
        let fits = code.expose().len() >= RECOVERY_CODE_CHARACTERS_TAKEN_OVER_MIN
            && code.expose().iter().all(u8::is_ascii_alphanumeric);
        fits.then_some(Self(code))
    }

    /// The characters that count. Never to be logged or stored.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Proof that what was presented is an unused recovery code. Not yet proof that nobody else used it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryMatch(FactorId);

impl RecoveryMatch {
    /// Which code it is.
    pub const fn id(&self) -> &FactorId {
        &self.0
    }

    /// For [`super::verify`] alone. Every code is compared, whether or not an earlier one fitted.
    pub(super) fn find(codes: &[RecoveryCode], fits: impl Fn(&RecoveryCode) -> bool) -> Option<Self> {
        codes.iter().filter(|code| fits(code)).fold(None, |found, code| found.or(Some(Self(code.id.clone()))))
    }
}

/// A code as a person sees it, `xxxx-xxxx-xxxx-xxxx`, made of random bytes.
pub fn recovery_code_text(random: &[u8; RECOVERY_CODE_BYTES]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(24));
    let (mut bits, mut count, mut written) = (0_u32, 0, 0);
    for byte in random {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            if written > 0 && written % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
            written += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(text: &str) -> Option<Vec<u8>> {
        let passcode = Passcode::from_bytes(text.as_bytes());
        PresentedRecoveryCode::from_passcode(&passcode, [6, 8].into_iter()).map(|code| code.expose().to_vec())
    }

    #[test]
    fn a_code_is_read_as_it_was_shown_in_any_case_and_without_its_dashes() {
        let text = recovery_code_text(&[0xff, 0, 0xa5, 7, 9, 0x80, 1, 2, 3, 4]);
        assert_eq!(text.len(), 19);
        let plain = text.replace('-', "");
        for spelled in [&*text, &plain, &text.to_uppercase(), &plain.replace('0', "O").replace('1', "l")] {
            assert_eq!(presented(spelled).as_deref(), Some(plain.as_bytes()), "{spelled}");
        }
    }

    #[test]
    fn a_code_has_eighty_bits() {
        let codes: std::collections::BTreeSet<_> = (0..80)
            .map(|bit| {
                let mut random = [0; RECOVERY_CODE_BYTES];
                random[bit / 8] = 1 << (bit % 8);
                recovery_code_text(&random).to_string()
            })
            .collect();
        assert_eq!(codes.len(), 80);
    }

    #[test]
    fn eight_digits_are_a_recovery_code_where_no_authenticator_shows_as_many() {
        let passcode = Passcode::from_bytes(b"123 45 678");
        let is_code =
            |digits: &[u8]| PresentedRecoveryCode::from_passcode(&passcode, digits.iter().copied()).is_some();
        assert!(is_code(&[6, 7]) && !is_code(&[6, 8]));
    }

    #[test]
    fn a_passcode_is_no_recovery_code() {
        for text in ["", "123456", "12345678", "123456,123456", "abcd-efgh-jkmn-pqr!", "ab-cd"] {
            assert_eq!(presented(text), None, "{text}");
        }
    }
}
