//! Whether a refresh token is one from after its subject enrolled (`[grants] refresh = "enrolled-after"`).

use super::{Clearance, Denial, Enrolment, clearance::Continued};
use crate::types::{SubjectId, UnixTime};

/// What is remembered of a refresh token that was let out, and of all that are made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// Whose it is, if that was known.
    pub subject: Option<SubjectId>,
    /// When its first ancestor was let out.
    pub began_at: UnixTime,
    /// Whether a factor was verified then.
    pub is_verified: bool,
}

/// Clears a token that was made of a refresh token, of which this is remembered.
///
/// A subject is enrolled since the oldest of its factors is. Where a site's own code wrote a secret, that time is
/// not known, and only a verified factor tells.
pub fn continued(enrolment: &Enrolment, record: Option<&RefreshRecord>) -> Result<Clearance, Denial> {
    let factors = match enrolment {
        Enrolment::Absent => return Ok(Continued::BECAUSE_ABSENT.into()),
        Enrolment::Active(factors) => factors.totp.as_slice(),
    };
    let Some(record) = record else { return Err(Denial::IssuedBeforeEnrolment) };
    let is_later = |since: UnixTime| record.began_at >= since;
    let oldest = factors.iter().map(|factor| factor.enrolled_at).min().flatten();
    if oldest.map_or(record.is_verified, is_later) {
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

    fn record(began_at: u64, is_verified: bool) -> RefreshRecord {
        RefreshRecord { subject: None, began_at: UnixTime::from_secs(began_at), is_verified }
    }

    #[test]
    fn a_token_from_before_the_oldest_factor_is_not_continued() {
        let is_continued =
            |factors: &[Option<u64>], record| continued(&enrolled(factors), Some(&record)).is_ok();
        assert!(!is_continued(&[Some(100)], record(99, false)));
        assert!(is_continued(&[Some(100)], record(100, true)));
        assert!(is_continued(&[Some(300), Some(100)], record(200, true)), "a second factor came later");
        assert!(!is_continued(&[Some(300)], record(200, true)), "enrolled anew");
        assert!(is_continued(&[None], record(1, true)));
        assert!(!is_continued(&[None], record(u64::MAX, false)));
        assert!(!is_continued(&[None, Some(100)], record(200, false)), "one of an unknown time may be older");
    }

    #[test]
    fn a_token_of_which_nothing_is_known_is_continued_for_strangers_alone() {
        assert!(continued(&Enrolment::Absent, None).is_ok());
        assert_eq!(continued(&enrolled(&[Some(1)]), None).err(), Some(Denial::IssuedBeforeEnrolment));
    }
}
