//! The headers of a token request that go upstream: an allow-list.

use http::{HeaderMap, HeaderName, header};

use super::RequestFault;

/// What a token endpoint may need besides the body. Not here, on purpose: cookies, method overrides,
/// content codings, ranges and conditions, and the second factor itself.
const ALLOWED: [HeaderName; 8] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::AUTHORIZATION,
    header::ORIGIN,
    header::USER_AGENT,
    HeaderName::from_static("dpop"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// Bytes of a value. Longer ones are refused by most servers, and could not be kept beside a withheld token.
const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Copies the allowed headers. Two `Authorization` lines are refused: servers differ in which one counts.
pub fn token_request_headers(received: &HeaderMap) -> Result<HeaderMap, RequestFault> {
    if received.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Err(RequestFault::header("Authorization", "must appear only once"));
    }
    let mut forwarded = HeaderMap::with_capacity(12);
    for (name, value) in received.iter().filter(|(name, _)| ALLOWED.contains(name)) {
        if value.len() > VALUE_BYTES_MAX {
            return Err(RequestFault::header(name.as_str(), "must be at most 8 KiB long"));
        }
        forwarded.append(name, value.clone());
    }
    Ok(forwarded)
}
