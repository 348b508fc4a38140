//! Names that two programs read differently.

use http::{HeaderMap, HeaderName};

/// The field that carries the passcode; it is for the gateway alone.
const PASSCODE: HeaderName = HeaderName::from_static("x-drupal-tfa");

/// Drops every field whose name holds anything but letters, digits and `-`, and the passcode.
///
/// CGI turns `-` into `_` (RFC 3875 section 4.1.18), and PHP other characters as well, so that
/// `X_Drupal_TFA` or `Content_Type` would pass for what they are not. nginx drops such names by default.
pub fn drop_ambiguous_names(headers: &mut HeaderMap) {
    headers.remove(PASSCODE);
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
        for name in ["x-drupal-tfa", "x_drupal_tfa", "x.drupal.tfa", "content_type", "x-kept", "content-type"]
        {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        drop_ambiguous_names(&mut headers);
        let mut kept: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["content-type", "x-kept"]);
    }
}
