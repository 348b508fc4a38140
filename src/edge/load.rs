//! How much is under way on one thread, and what is turned away when that is too much.

use std::{cell::Cell, time::Duration};

use crate::{policy::throttle::Throttle, upstream::UploadLimits};

/// One in so many requests may be for the token endpoint alone.
const RESERVED_PART: usize = 8;

/// What a client may ask for.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Requests of one thread that are under way, until the head of their answer.
    pub requests_max: usize,
    /// How long the body of a token request may take to arrive.
    pub token_body_timeout: Duration,
    /// How many token requests a client may send, if that is limited.
    pub throttle: Option<Throttle>,
    /// What other requests may bring.
    pub uploads: UploadLimits,
}

impl Default for RequestLimits {
    /// 4096 requests; 10 s for the few hundred bytes of a token request.
    fn default() -> Self {
        Self {
            requests_max: 4096,
            token_body_timeout: Duration::from_secs(10),
            throttle: None,
            uploads: UploadLimits::default(),
        }
    }
}

/// The requests of one thread that are under way.
#[derive(Debug, Default)]
pub struct Load(Cell<usize>);

impl Load {
    /// A place for one more, if there is one: the last ones are for those who log in.
    pub(super) fn enter(&self, requests_max: usize, is_login: bool) -> Option<UnderWay<'_>> {
        let reserve = if is_login { 0 } else { requests_max / RESERVED_PART };
        let count = self.0.get();
        (count < requests_max - reserve).then(|| {
            self.0.set(count + 1);
            UnderWay(self)
        })
    }
}

/// A request that is under way.
pub(super) struct UnderWay<'a>(&'a Load);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_places_are_for_those_who_log_in() {
        let load = Load::default();
        let mut places: Vec<_> = (0..14).map(|_| load.enter(16, false).unwrap()).collect();
        assert!(load.enter(16, false).is_none());
        places.extend((0..2).map(|_| load.enter(16, true).unwrap()));
        assert!(load.enter(16, true).is_none());
        places.clear();
        assert!(load.enter(1, false).is_some());
    }
}
