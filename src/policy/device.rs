//! Remembered devices: a secret that stands for the code for some time. The rule, as a pure step from one record to
//! the next.
//!
//! Invariants: a secret is accepted once, for its own client alone, and until the day that was set when the code was
//! typed; each use gives a new one; an earlier one that comes back later is taken for a thief's, and ends it.

use subtle::ConstantTimeEq as _;

use crate::types::{FactorId, UnixTime, limits::DEVICE_GRACE_SECS};

/// SHA-256 of a device's secret, which has the entropy of a key.
pub type DeviceDigest = [u8; 32];

/// What is remembered of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The client that it belongs to (RFC 6749 section 2.2).
    pub client_id: String,
    /// What the client calls itself (`User-Agent`), for whoever looks at the list.
    pub label: Option<String>,
    /// The secret that is accepted next.
    pub digest: DeviceDigest,
    /// The one before it.
    pub previous: Option<DeviceDigest>,
    /// When a code was typed for it.
    pub created_at: UnixTime,
    /// When it stood for a code, or was made.
    pub used_at: UnixTime,
    /// From then on it is none any more.
    pub forget_at: UnixTime,
}

/// What comes of a secret that was presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceVerdict {
    /// It stands for the code, if this takes the place of the record that was read.
    Accept(Accepted),
    /// It is not the one that is accepted next, and not the one before it, used a moment ago: whoever shows it, besides
    /// the password, has had an earlier one or guesses. The device is none any more.
    Stolen,
    /// It does not count, and nothing is to be done about it.
    Ignore,
}

/// A record that follows another one, with a new secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted(Device);

impl Accepted {
    /// The record.
    pub const fn device(&self) -> &Device {
        &self.0
    }
}

/// Proof that a store has put the record of [`Accepted`] in the place of the one that was read: whoever holds it is
/// the only one who used that secret. A store makes it, in the same breath as it replaces the record.
#[derive(Debug)]
pub struct DeviceUsed(FactorId);

impl DeviceUsed {
    /// For the store alone, once `_next` is the record of the device.
    pub fn replaced_by(id: &FactorId, _next: &Accepted) -> Self {
        Self(id.clone())
    }

    pub(super) fn into_id(self) -> FactorId {
        self.0
    }
}

impl Device {
    /// Judges a secret by its digest. `next` is the digest of the one that is given for it.
    pub fn judge(
        &self,
        presented: &DeviceDigest,
        client_id: Option<&str>,
        next: DeviceDigest,
        now: UnixTime,
    ) -> DeviceVerdict {
        if now >= self.forget_at || client_id != Some(self.client_id.as_str()) {
            return DeviceVerdict::Ignore;
        }
        if presented.ct_eq(&self.digest).into() {
            let (digest, previous) = (next, Some(self.digest));
            return DeviceVerdict::Accept(Accepted(Self { digest, previous, used_at: now, ..self.clone() }));
        }
        let was_previous = self.previous.is_some_and(|previous| presented.ct_eq(&previous).into());
        // Two requests of one client at the same moment are no theft. Anything else is: whoever knows the name of the
        // device, and the password, has had a secret of it.
        if was_previous && self.used_at.secs_until(now) <= DEVICE_GRACE_SECS {
            DeviceVerdict::Ignore
        } else {
            DeviceVerdict::Stolen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: UnixTime = UnixTime::from_secs(1000);
    const LATER: UnixTime = UnixTime::from_secs(5000);

    fn device() -> Device {
        Device {
            client_id: "cli".into(),
            label: None,
            digest: [1; 32],
            previous: None,
            created_at: MADE,
            used_at: MADE,
            forget_at: UnixTime::from_secs(9000),
        }
    }

    #[test]
    fn a_secret_is_accepted_once_and_gives_a_new_one() {
        let DeviceVerdict::Accept(next) = device().judge(&[1; 32], Some("cli"), [2; 32], LATER) else {
            panic!("not accepted")
        };
        let next = next.device();
        assert_eq!((next.digest, next.previous, next.used_at), ([2; 32], Some([1; 32]), LATER));
        assert_eq!(next.forget_at, device().forget_at);
        assert!(matches!(next.judge(&[2; 32], Some("cli"), [3; 32], LATER), DeviceVerdict::Accept(_)));
    }

    #[test]
    fn a_used_secret_that_comes_back_ends_the_device_unless_it_comes_at_once() {
        let used = Device { digest: [2; 32], previous: Some([1; 32]), used_at: LATER, ..device() };
        let after = |secs| UnixTime::from_secs(LATER.as_secs() + secs);
        assert_eq!(used.judge(&[1; 32], Some("cli"), [3; 32], after(60)), DeviceVerdict::Ignore);
        assert_eq!(used.judge(&[1; 32], Some("cli"), [3; 32], after(61)), DeviceVerdict::Stolen);
        // One of long ago: a thief has used it more than once since.
        assert_eq!(used.judge(&[9; 32], Some("cli"), [3; 32], after(1)), DeviceVerdict::Stolen);
    }

    #[test]
    fn a_device_counts_for_its_client_and_its_time_alone() {
        for (client, now, expected) in [
            (Some("cli"), UnixTime::from_secs(8999), true),
            (Some("cli"), UnixTime::from_secs(9000), false),
            (Some("other"), LATER, false),
            (None, LATER, false),
        ] {
            let verdict = device().judge(&[1; 32], client, [2; 32], now);
            assert_eq!(matches!(verdict, DeviceVerdict::Accept(_)), expected, "{client:?} {now:?}");
        }
    }
}
