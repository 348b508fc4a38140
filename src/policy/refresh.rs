//! Whether a refresh token is one from after its subject enrolled (`[grants] refresh = "enrolled-after"`).

use super::{Clearance, Denial, Enrolment, clearance::Continued};
use crate::types::{SubjectId, UnixTime};

/// What is remembered of a refresh token that was let out, and of all that are made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// Whose it is, if that was known.
    pub subject: Option<SubjectId>,
    /// A time before its first ancestor was asked for.
    pub began_at: UnixTime,
    /// What stood behind it.
    pub basis: Basis,
}

/// What a refresh token was let out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// A factor was verified, or a rule asks for none.
    Cleared,
    /// A password alone: its subject had no factor then.
    Password,
    /// A grant that is not gated: the site's own log-in stands behind it.
    Passed,
}

/// Clears a token that was made of a refresh token, of which this is remembered.
///
/// A subject is enrolled since the oldest of its factors is. Where a site's own code wrote a secret, that time is
/// not known, and only a verified factor tells. What a password alone was enough for ends with the enrolment, however
/// close the two were: whoever knows the password could have asked until the very moment.
pub fn continued(enrolment: &Enrolment, record: Option<&RefreshRecord>) -> Result<Clearance, Denial> {
    let factors = match enrolment {
        Enrolment::Absent => return Ok(Continued::BECAUSE_ABSENT.into()),
        Enrolment::Active(factors) => factors.totp.as_slice(),
    };
    let Some(record) = record else { return Err(Denial::IssuedBeforeEnrolment) };
    let oldest = factors.iter().map(|factor| factor.enrolled_at).min().flatten();
    let is_continued = match record.basis {
        Basis::Cleared => oldest.is_none_or(|since| record.began_at >= since),
        Basis::Password => false,
        Basis::Passed => oldest.is_some_and(|since| record.began_at > since),
    };
    if is_continued {
        return Ok(Continued::BECAUSE_LATER.into());
    }
    Err(Denial::IssuedBeforeEnrolment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        factor::{
            Factor, Factors,
            totp::{Totp, TotpParameters},
        },
        types::{FactorId, NonEmpty, Secret},
    };

    fn enrolled(at: &[Option<u64>]) -> Enrolment {
        let factor = |at: &Option<u64>| Factor {
            id: FactorId::parse("f1").unwrap(),
            label: None,
            enrolled_at: at.map(UnixTime::from_secs),
            totp: Totp::new(TotpParameters::default(), &Secret::new(vec![1; 20])).unwrap(),
        };
        Enrolment::Active(Factors {
            totp: NonEmpty::from_vec(at.iter().map(factor).collect()).unwrap(),
            recovery_codes: Vec::new(),
        })
    }

    fn record(began_at: u64, basis: Basis) -> RefreshRecord {
        RefreshRecord { subject: None, began_at: UnixTime::from_secs(began_at), basis }
    }

    #[test]
    fn a_token_from_before_the_oldest_factor_is_not_continued() {
        use Basis::{Cleared, Passed};
        let is_continued =
            |factors: &[Option<u64>], record| continued(&enrolled(factors), Some(&record)).is_ok();
        assert!(!is_continued(&[Some(100)], record(99, Passed)));
        assert!(!is_continued(&[Some(100)], record(100, Passed)), "in the same second");
        assert!(is_continued(&[Some(100)], record(101, Passed)));
        assert!(is_continued(&[Some(100)], record(100, Cleared)));
        assert!(is_continued(&[Some(300), Some(100)], record(200, Cleared)), "a second factor came later");
        assert!(!is_continued(&[Some(300)], record(200, Cleared)), "enrolled anew");
        assert!(is_continued(&[None], record(1, Cleared)));
        assert!(!is_continued(&[None], record(u64::MAX, Passed)));
        assert!(
            !is_continued(&[None, Some(100)], record(200, Passed)),
            "one of an unknown time may be older"
        );
    }

    #[test]
    fn what_a_password_alone_was_enough_for_ends_with_the_enrolment_whenever_it_was() {
        for began_at in [1, 100, 200, u64::MAX] {
            let record = record(began_at, Basis::Password);
            assert!(continued(&enrolled(&[Some(100)]), Some(&record)).is_err(), "{began_at}");
            assert!(continued(&Enrolment::Absent, Some(&record)).is_ok());
        }
    }

    #[test]
    fn a_token_of_which_nothing_is_known_is_continued_for_strangers_alone() {
        assert!(continued(&Enrolment::Absent, None).is_ok());
        assert_eq!(continued(&enrolled(&[Some(1)]), None).err(), Some(Denial::IssuedBeforeEnrolment));
    }
}
