//! Names that two programs read differently, or that turn a request into another one.

use http::{HeaderMap, HeaderName};

/// Fields that never go upstream: the passcode and what stands for it, which are for the gateway alone, and those by
/// which some frameworks let a client name another path than the one that was judged (CVE-2018-14773).
static DROPPED: [HeaderName; 7] = [
    // CGI makes `HTTP_PROXY` of it, which programs take for a proxy to go through (CVE-2016-5385).
    HeaderName::from_static("proxy"),
    HeaderName::from_static("x-drupal-tfa"),
    HeaderName::from_static("x-tfa-device"),
    HeaderName::from_static("x-tfa-remember"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// Drops every field whose name holds anything but letters, digits and `-`, the passcode, and path overrides.
///
/// CGI turns `-` into `_` (RFC 3875 section 4.1.18), and PHP other characters as well, so that
/// `X_Drupal_TFA` or `Content_Type` would pass for what they are not. nginx drops such names by default.
pub fn drop_ambiguous_names(headers: &mut HeaderMap) {
    let is_plain = |name: &HeaderName| name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_dropped = |name: &&HeaderName| !is_plain(name) || DROPPED.contains(name);
    // Most requests have none: each name is looked at once, and nothing is looked up.
    if !headers.keys().any(|name| is_dropped(&name)) {
        return;
    }
    let dropped: Vec<HeaderName> = headers.keys().filter(is_dropped).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn twins_and_the_passcode_are_dropped() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-drupal-tfa",
            "x_drupal_tfa",
            "x.drupal.tfa",
            "x-original-url",
            "x-original-uri",
            "x-rewrite-url",
            "content_type",
            "x-kept",
            "content-type",
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        drop_ambiguous_names(&mut headers);
        let mut kept: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["content-type", "x-kept"]);
    }
}
