//! Time-based one-time passwords (RFC 6238) on HOTP (RFC 4226), computed by totp-rs.
//!
//! The library's own `check` stops at the first step that fits and hides nothing of it in time; here
//! every step of the window is computed and compared in constant time.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::Passcode;
use crate::types::{
    Secret, UnixTime,
    limits::{TOTP_SECRET_BYTES_MAX, TOTP_SECRET_BYTES_MIN, TOTP_SECRET_BYTES_TAKEN_OVER_MIN},
};

/// All but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The hash under the HMAC (RFC 6238 section 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// HMAC-SHA-1, the only one that every authenticator app supports.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in `otpauth` URIs and in stored records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// Reads [`Algorithm::as_str`], in any case and with or without a dash.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| text.replace('-', "").eq_ignore_ascii_case(algorithm.as_str()))
    }
}

/// The public parameters of a TOTP factor, within their bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotpParameters {
    algorithm: Algorithm,
    digits: u8,
    period_secs: u32,
    skew_steps: u8,
}

/// Which bound of [`TotpParameters`] or [`Totp`] was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TotpFault {
    /// RFC 4226 section 5.3 allows 6 to 8 digits.
    #[error("digits must be 6 to 8")]
    Digits,
    /// Shorter periods leave no time to type, longer ones leave a code lying about.
    #[error("period_secs must be 15 to 300")]
    Period,
    /// RFC 6238 section 5.2 recommends one step; each further one widens the window for a guess.
    #[error("skew_steps must be 0 to 5")]
    Skew,
    /// RFC 4226 section 4 R6.
    #[error("a TOTP secret must have 16 to 128 bytes (128 bits or more)")]
    SecretLength,
    /// See [`Totp::taken_over`].
    #[error("a TOTP secret that is taken over must have 10 to 128 bytes (80 bits or more)")]
    TakenOverLength,
}

impl TotpParameters {
    /// Checks the bounds: digits 6 to 8, period 15 to 300 seconds, skew 0 to 5 steps.
    pub const fn new(
        algorithm: Algorithm,
        digits: u8,
        period_secs: u32,
        skew_steps: u8,
    ) -> Result<Self, TotpFault> {
        if digits < 6 || digits > 8 {
            return Err(TotpFault::Digits);
        }
        if period_secs < 15 || period_secs > 300 {
            return Err(TotpFault::Period);
        }
        if skew_steps > 5 {
            return Err(TotpFault::Skew);
        }
        Ok(Self { algorithm, digits, period_secs, skew_steps })
    }

    /// The hash.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Digits of a passcode.
    pub const fn digits(&self) -> u8 {
        self.digits
    }

    /// Length of a step, in seconds.
    pub const fn period_secs(&self) -> u32 {
        self.period_secs
    }

    /// Steps before and after the present one that are accepted too.
    pub const fn skew_steps(&self) -> u8 {
        self.skew_steps
    }

    /// How long one passcode can be presented, in seconds: `(2·skew+1)·period`.
    pub const fn window_secs(&self) -> u64 {
        (2 * self.skew_steps as u64 + 1) * self.period_secs as u64
    }
}

impl Default for TotpParameters {
    /// SHA-1, 6 digits, 30 seconds, one step of skew: what every app does (RFC 6238 section 5.2).
    fn default() -> Self {
        Self { algorithm: Algorithm::Sha1, digits: 6, period_secs: 30, skew_steps: 1 }
    }
}

/// A TOTP factor's secret with its parameters.
#[derive(Clone)]
pub struct Totp {
    parameters: TotpParameters,
    inner: totp_rs::Totp,
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totp").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

impl Totp {
    /// Refuses secrets shorter than 128 bits (RFC 4226 section 4 R6).
    pub fn new(parameters: TotpParameters, secret: &Secret<Vec<u8>>) -> Result<Self, TotpFault> {
        if secret.expose().len() < TOTP_SECRET_BYTES_MIN {
            return Err(TotpFault::SecretLength);
        }
        Self::taken_over(parameters, secret).map_err(|_| TotpFault::SecretLength)
    }

    /// With a secret that another system made, or that was taken over before: it may have 80 bits, for the phone holds
    /// it already and cannot be given a longer one unnoticed.
    pub fn taken_over(parameters: TotpParameters, secret: &Secret<Vec<u8>>) -> Result<Self, TotpFault> {
        let bytes = secret.expose();
        if bytes.len() < TOTP_SECRET_BYTES_TAKEN_OVER_MIN || bytes.len() > TOTP_SECRET_BYTES_MAX {
            return Err(TotpFault::TakenOverLength);
        }
        let algorithm = match parameters.algorithm {
            Algorithm::Sha1 => totp_rs::Algorithm::SHA1,
            Algorithm::Sha256 => totp_rs::Algorithm::SHA256,
            Algorithm::Sha512 => totp_rs::Algorithm::SHA512,
        };
        // The bounds above are tighter than the library's, so nothing is left for it to refuse.
        let inner = totp_rs::Builder::new()
            .with_algorithm(algorithm)
            .with_digits(parameters.digits)
            .with_step_duration(u64::from(parameters.period_secs))
            .with_skew(u16::from(parameters.skew_steps))
            .with_secret(bytes.clone())
            .build_noncompliant();
        Ok(Self { parameters, inner })
    }

    /// The public parameters.
    pub const fn parameters(&self) -> &TotpParameters {
        &self.parameters
    }

    /// The shared secret. Never to be logged.
    pub fn expose_secret(&self) -> &[u8] {
        self.inner.secret().as_bytes()
    }

    /// See [`TotpParameters::window_secs`].
    pub const fn window_secs(&self) -> u64 {
        self.parameters.window_secs()
    }

    /// The latest step of the window around `now` whose passcode is the presented one.
    pub fn matching_step(&self, passcode: &Passcode, now: UnixTime) -> Option<u64> {
        let skew = u64::from(self.parameters.skew_steps);
        let present = now.as_secs() / u64::from(self.parameters.period_secs);
        let mut found = Choice::from(0);
        let mut matched = 0_u64;
        for step in present.saturating_sub(skew)..=present.saturating_add(skew) {
            let fits = self.passcode_at(step).as_bytes().ct_eq(passcode.expose());
            matched.conditional_assign(&step, fits);
            found |= fits;
        }
        bool::from(found).then_some(matched)
    }

    /// The passcode of one step.
    pub fn passcode_at(&self, step: u64) -> zeroize::Zeroizing<String> {
        let time = step.saturating_mul(u64::from(self.parameters.period_secs));
        zeroize::Zeroizing::new(self.inner.generate(time).to_string())
    }

    /// The passcode that an authenticator shows at `now`.
    pub fn passcode_now(&self, now: UnixTime) -> zeroize::Zeroizing<String> {
        self.passcode_at(now.as_secs() / u64::from(self.parameters.period_secs))
    }

    /// The key URI that authenticator apps read from a QR code ("Key Uri Format" of the Google
    /// Authenticator project). It holds the secret.
    pub fn otpauth_uri(&self, issuer: &str, account: &str) -> zeroize::Zeroizing<String> {
        let issuer = utf8_percent_encode(issuer, RESERVED);
        let account = utf8_percent_encode(account, RESERVED);
        zeroize::Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm={}&digits={}&period={}",
            *self.secret_base32(),
            self.parameters.algorithm.as_str(),
            self.parameters.digits,
            self.parameters.period_secs,
        ))
    }

    /// The secret as people type it: base32 without padding (RFC 4648 section 6).
    pub fn secret_base32(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(data_encoding::BASE32_NOPAD.encode(self.expose_secret()))
    }
}

/// Reads a base32 secret as sites and people write it: any case, spaces, dashes and padding ignored.
/// `None` when it is not base32.
pub fn decode_base32(text: &str) -> Option<Secret<Vec<u8>>> {
    let mut compact: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-' && *c != '=')
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let decoded = data_encoding::BASE32_NOPAD.decode(compact.as_bytes()).ok().map(Secret::new);
    zeroize::Zeroize::zeroize(&mut compact);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totp(algorithm: Algorithm, digits: u8, period_secs: u32, skew: u8, secret: &[u8]) -> Totp {
        let parameters = TotpParameters::new(algorithm, digits, period_secs, skew).unwrap();
        Totp::new(parameters, &Secret::new(secret.to_vec())).unwrap()
    }

    /// RFC 6238 appendix B.
    #[test]
    fn rfc_6238_vectors() {
        const TWENTY: &[u8] = b"12345678901234567890";
        const THIRTY_TWO: &[u8] = b"12345678901234567890123456789012";
        const SIXTY_FOUR: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";
        let vectors = [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ];
        for (time, [sha1, sha256, sha512]) in vectors {
            let now = UnixTime::from_secs(time);
            for (algorithm, secret, expected) in [
                (Algorithm::Sha1, TWENTY, sha1),
                (Algorithm::Sha256, THIRTY_TWO, sha256),
                (Algorithm::Sha512, SIXTY_FOUR, sha512),
            ] {
                let totp = totp(algorithm, 8, 30, 0, secret);
                assert_eq!(*totp.passcode_now(now), expected, "{algorithm:?} at {time}");
                let step = totp.matching_step(&Passcode::from_bytes(expected.as_bytes()), now);
                assert_eq!(step, Some(time / 30), "{algorithm:?} at {time}");
            }
        }
    }

    /// RFC 4226 appendix D: the counter is the step.
    #[test]
    fn rfc_4226_vectors() {
        let totp = totp(Algorithm::Sha1, 6, 30, 0, b"12345678901234567890");
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (counter, code) in (0_u64..).zip(expected) {
            assert_eq!(*totp.passcode_at(counter), code, "counter {counter}");
        }
    }

    #[test]
    fn the_window_is_the_skew_and_no_more() {
        let totp = totp(Algorithm::Sha1, 6, 30, 1, b"12345678901234567890");
        let now = UnixTime::from_secs(1_000_000 * 30 + 7);
        for (step, accepted) in
            [(999_998, false), (999_999, true), (1_000_000, true), (1_000_001, true), (1_000_002, false)]
        {
            let passcode = Passcode::from_bytes(totp.passcode_at(step).as_bytes());
            assert_eq!(totp.matching_step(&passcode, now), accepted.then_some(step), "step {step}");
        }
    }

    #[test]
    fn other_lengths_and_other_characters_never_fit() {
        let totp = totp(Algorithm::Sha1, 6, 30, 1, b"12345678901234567890");
        let now = UnixTime::from_secs(59);
        let right = totp.passcode_now(now);
        for wrong in ["", "0", &right[1..], &format!("0{}", *right), &format!("+{}", &right[1..])] {
            assert_eq!(totp.matching_step(&Passcode::from_bytes(wrong.as_bytes()), now), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_window_at_the_epoch_does_not_wrap() {
        let totp = totp(Algorithm::Sha1, 6, 30, 5, b"12345678901234567890");
        let code = Passcode::from_bytes(totp.passcode_at(0).as_bytes());
        assert_eq!(totp.matching_step(&code, UnixTime::from_secs(0)), Some(0));
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(TotpParameters::new(Algorithm::Sha1, 5, 30, 1), Err(TotpFault::Digits));
        assert_eq!(TotpParameters::new(Algorithm::Sha1, 9, 30, 1), Err(TotpFault::Digits));
        assert_eq!(TotpParameters::new(Algorithm::Sha1, 6, 14, 1), Err(TotpFault::Period));
        assert!(TotpParameters::new(Algorithm::Sha1, 6, 15, 1).is_ok());
        assert_eq!(TotpParameters::new(Algorithm::Sha1, 6, 30, 6), Err(TotpFault::Skew));
        let short = Totp::new(TotpParameters::default(), &Secret::new(vec![0; 15]));
        assert_eq!(short.err(), Some(TotpFault::SecretLength));
    }

    #[test]
    fn base32_is_read_as_people_write_it() {
        let secret = decode_base32("jbsw y3dp-EHPK3PXP==").unwrap();
        assert_eq!(secret.expose(), b"Hello!\xde\xad\xbe\xef");
        assert!(decode_base32("not base32!").is_none());
    }

    #[test]
    fn the_secret_is_not_in_the_debug_output() {
        let totp = totp(Algorithm::Sha1, 6, 30, 1, b"12345678901234567890");
        let printed = format!("{totp:?}");
        assert!(!printed.contains("1234567890") && !printed.contains("49, 50"), "{printed}");
    }
}
