//! Tokens that a client has already: an answer that repeats one of them hands nothing over. Drupal's
//! `/oauth2/tokens/<token>` does.

use std::cell::{Cell, OnceCell};

use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};
use memchr::memmem;
use percent_encoding::percent_decode;

/// How often an answer may repeat what its client has: each time, the request is searched.
const HELD_MAX: usize = 64;
/// Bytes below which a value is no token that anybody could tell from chance.
const TOKEN_BYTES_MIN: usize = 16;

/// Whether a value is long enough for a token that anybody could tell from chance.
pub(super) const fn may_be_token(value: &[u8]) -> bool {
    value.len() >= TOKEN_BYTES_MIN
}

/// What a client showed in its request.
#[derive(Debug, Clone, Default)]
pub struct Known {
    target: Uri,
    /// The target without its percent-encoding: made when it is first asked for, and once.
    decoded: OnceCell<Vec<u8>>,
    authorization: Option<HeaderValue>,
    /// How often something was found to be known.
    held: Cell<usize>,
}

impl Known {
    /// What stands in the target and in the `Authorization` of a request.
    pub fn from_request(target: &Uri, headers: &HeaderMap) -> Self {
        let authorization = headers.get(AUTHORIZATION).cloned();
        Self { target: target.clone(), authorization, ..Self::default() }
    }

    /// Whether the client has a text already: a whole token, or the beginning of one.
    pub(super) fn holds(&self, value: &[u8], is_whole: bool) -> bool {
        if is_whole && !may_be_token(value) || self.held.get() == HELD_MAX {
            return false;
        }
        self.held.set(self.held.get() + usize::from(is_whole));
        let stands_in = |text: &[u8]| memmem::find(text, value).is_some();
        let target = self.target.path_and_query().map_or("", |target| target.as_str()).as_bytes();
        stands_in(target)
            || stands_in(self.decoded.get_or_init(|| percent_decode(target).collect()))
            || self.authorization.as_ref().is_some_and(|value| stands_in(value.as_bytes()))
    }
}
