//! Names that two programs read differently, or that turn a request into another one.

use http::{HeaderMap, HeaderName};

/// The field that carries the passcode; it is for the gateway alone.
const PASSCODE: HeaderName = HeaderName::from_static("x-drupal-tfa");

/// Request targets in header fields, which IIS modules, older Symfony and Zend prefer to the real one
/// (CVE-2018-14773). They would lead past the door that judged the real one.
const OTHER_TARGETS: [HeaderName; 2] =
    [HeaderName::from_static("x-original-url"), HeaderName::from_static("x-rewrite-url")];

/// Drops every field whose name holds anything but letters, digits and `-`, the passcode, and other targets.
///
/// CGI turns `-` into `_` (RFC 3875 section 4.1.18), and PHP other characters as well, so that
/// `X_Drupal_TFA` or `Content_Type` would pass for what they are not. nginx drops such names by default.
pub fn drop_ambiguous_names(headers: &mut HeaderMap) {
    headers.remove(PASSCODE);
    for name in &OTHER_TARGETS {
        headers.remove(name);
    }
    let plain = |name: &HeaderName| name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if headers.keys().all(plain) {
        return;
    }
    let ambiguous: Vec<HeaderName> = headers.keys().filter(|name| !plain(name)).cloned().collect();
    for name in ambiguous {
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
            "content_type",
            "x-original-url",
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
