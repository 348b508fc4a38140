//! Tokens that a client has already: an answer that repeats one of them hands nothing over. Drupal's
//! `/oauth2/tokens/<token>` does.

use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};
use memchr::memmem;
use percent_encoding::percent_decode;

/// Bytes below which a value is no token that anybody could tell from chance.
const TOKEN_BYTES_MIN: usize = 16;

/// What a client showed in its request.
#[derive(Debug, Clone, Default)]
pub struct Known {
    target: Uri,
    authorization: Option<HeaderValue>,
}

impl Known {
    /// What stands in the target and in the `Authorization` of a request.
    pub fn from_request(target: &Uri, headers: &HeaderMap) -> Self {
        Self { target: target.clone(), authorization: headers.get(AUTHORIZATION).cloned() }
    }

    /// Whether the client has a text already: a whole token, or the beginning of one.
    pub(super) fn holds(&self, value: &[u8], is_whole: bool) -> bool {
        if is_whole && value.len() < TOKEN_BYTES_MIN {
            return false;
        }
        let stands_in = |text: &[u8]| memmem::find(text, value).is_some();
        let target = self.target.path_and_query().map_or("", |target| target.as_str()).as_bytes();
        stands_in(target)
            || stands_in(&percent_decode(target).collect::<Vec<u8>>())
            || self.authorization.as_ref().is_some_and(|value| stands_in(value.as_bytes()))
    }
}
