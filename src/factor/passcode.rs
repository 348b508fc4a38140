//! What a client presents in `X-Drupal-TFA`.

use zeroize::Zeroize;

use crate::types::{Secret, limits::PASSCODE_BYTES_MAX};

/// A presented passcode, white space removed. It may be anything: what is no code just never fits.
#[derive(Debug, Clone)]
pub struct Passcode(Secret<Vec<u8>>);

impl Passcode {
    /// Takes one header value. ASCII white space is ignored ("123 456"); an empty, a non-numeric or
    /// an overlong value is a passcode that fits nothing.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let kept = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace());
        Self(Secret::new(kept.take(PASSCODE_BYTES_MAX).collect()))
    }

    /// The characters that were presented. Never to be logged or stored.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// All that a request presents.
#[derive(Debug, Clone)]
pub enum Presented {
    /// No header: the client does not know yet that a code is wanted.
    Nothing,
    /// A header, be it empty or nonsense.
    Passcode(Passcode),
}

impl Presented {
    /// Reads the values of all `X-Drupal-TFA` header lines. Two of them are one wrong code: which one
    /// was meant is not ours to guess.
    pub fn from_header_values<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter();
        let Some(first) = values.next() else { return Self::Nothing };
        let Some(second) = values.next() else { return Self::Passcode(Passcode::from_bytes(first)) };
        let mut joined = [first, b",", second].concat();
        let passcode = Passcode::from_bytes(&joined);
        joined.zeroize();
        Self::Passcode(passcode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(values: &[&str]) -> Option<String> {
        match Presented::from_header_values(values.iter().map(|v| v.as_bytes())) {
            Presented::Nothing => None,
            Presented::Passcode(passcode) => Some(String::from_utf8_lossy(passcode.expose()).into_owned()),
        }
    }

    #[test]
    fn white_space_in_a_passcode_is_ignored() {
        assert_eq!(presented(&[" 123\t456 "]).as_deref(), Some("123456"));
    }

    #[test]
    fn an_empty_header_is_a_passcode_and_no_header_is_none() {
        assert_eq!(presented(&[""]).as_deref(), Some(""));
        assert_eq!(presented(&[]), None);
    }

    #[test]
    fn two_headers_are_one_passcode_that_fits_nothing() {
        assert_eq!(presented(&["123456", "123456"]).as_deref(), Some("123456,123456"));
    }
}
