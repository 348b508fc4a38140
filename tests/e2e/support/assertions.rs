//! What an answer must look like, to the byte.

use super::http::Response;

/// The gateway's answers about the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// None was presented.
    CodeWanted,
    /// It fits nothing.
    WrongCode,
    /// It was accepted before.
    UsedCode,
    /// Too many failures; come back in so many minutes.
    LockedForMinutes(u64),
    /// Far too many; ask an administrator.
    LockedForGood,
}

impl Challenge {
    fn description(self) -> String {
        match self {
            Self::CodeWanted => "Two-factor authentication is required".to_owned(),
            Self::WrongCode => "Invalid application code. Please try again.".to_owned(),
            Self::UsedCode => "Invalid code, it was recently used for a login. \
                               Please wait for the application to generate a new code."
                .to_owned(),
            Self::LockedForMinutes(minutes) => format!(
                "You have reached the threshold for incorrect code entry attempts. \
                 Please try again in {minutes} minutes."
            ),
            Self::LockedForGood => "You have reached the threshold for incorrect code entry attempts. \
                                    Please ask an administrator to unlock your account."
                .to_owned(),
        }
    }
}

/// Asserts the whole of a challenge: status, body, headers, and nothing of the upstream's.
pub(crate) fn assert_challenge(response: &Response, challenge: Challenge) {
    let body = format!(r#"{{"error":"invalid_grant","error_description":"{}"}}"#, challenge.description());
    assert_eq!(response.text(), body, "{response:?}");
    assert_challenge_head(response);
    let retry_after = response.header("retry-after").map(|secs| secs.parse::<u64>().expect("whole seconds"));
    match challenge {
        Challenge::LockedForMinutes(minutes) => {
            let secs = retry_after.expect("Retry-After");
            assert_eq!(secs.div_ceil(60), minutes, "{response:?}");
        }
        Challenge::LockedForGood => assert!(retry_after > Some(0), "{response:?}"),
        _ => assert_eq!(retry_after, None, "{response:?}"),
    }
}

/// Asserts all of a challenge but its body.
pub(crate) fn assert_challenge_head(response: &Response) {
    assert_eq!(response.status, 401, "{response:?}");
    assert_eq!(response.header("x-drupal-tfa"), Some("required, schemes=totp"), "{response:?}");
    assert_own_headers_only(response);
}

/// Asserts a refusal of the gateway's own that is not about the second factor.
pub(crate) fn assert_denied(response: &Response, status: u16, error: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.json()["error"], error, "{response:?}");
    assert_eq!(response.header("x-drupal-tfa"), None, "{response:?}");
    assert_own_headers_only(response);
    assert!(!has_token(response), "{response:?}");
}

/// Asserts that every header is one that the gateway sets itself, as RFC 6749 section 5.1 wants it.
pub(crate) fn assert_own_headers_only(response: &Response) {
    const OWN: &[&str] = &[
        "allow",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "pragma",
        "retry-after",
        "x-drupal-tfa",
    ];
    for (name, _) in &response.headers {
        assert!(OWN.contains(&name.as_str()), "{name} is not the gateway's:\n{response:?}");
    }
    assert_eq!(response.header("content-type"), Some("application/json"), "{response:?}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{response:?}");
    assert_eq!(response.header("pragma"), Some("no-cache"), "{response:?}");
}

/// Asserts a token of the upstream's, and returns it.
pub(crate) fn assert_token(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["access_token"].as_str().unwrap_or_else(|| panic!("no token:\n{response:?}")).to_owned()
}

/// Whether an access or refresh token is anywhere in an answer, compressed ones included.
pub(crate) fn has_token(response: &Response) -> bool {
    let text = response.text();
    ["access_token", "refresh_token", "id_token"].iter().any(|name| text.contains(&format!("\"{name}\"")))
        || response.header("content-encoding").is_some_and(|coding| coding != "identity")
            && response.status == 200
}

/// Asserts that the gateway passed on what the upstream answers to the same request directly.
pub(crate) fn assert_relayed(through_gateway: &Response, direct: &Response) {
    /// Of one connection, or of one moment.
    const OTHER_EACH_TIME: &[&str] =
        &["connection", "date", "keep-alive", "transfer-encoding", "x-request-id", "x-runtime"];
    let lasting = |response: &Response, with_length: bool| -> Vec<(String, String)> {
        let kept = |name: &str| !OTHER_EACH_TIME.contains(&name) && (with_length || name != "content-length");
        let mut headers: Vec<_> = response.headers.iter().filter(|(name, _)| kept(name)).cloned().collect();
        headers.sort();
        headers
    };
    assert_eq!(through_gateway.status, direct.status, "{through_gateway:?}\n--- directly:\n{direct:?}");
    assert_eq!(through_gateway.text(), direct.text());
    let both_have_a_length =
        [through_gateway, direct].iter().all(|response| response.header("content-length").is_some());
    assert_eq!(lasting(through_gateway, both_have_a_length), lasting(direct, both_have_a_length));
}
