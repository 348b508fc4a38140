//! What the upstream's answer to a revocation means (RFC 7009 section 2.2).

use http::StatusCode;

use super::RevocationStyle;

/// What is to be done about one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is revoked, or was not known any more.
    Done,
    /// Nothing: the server does not revoke tokens of that type.
    Unsupported,
    /// It is asked again later.
    Again,
}

/// Judges one answer. What is not certainly the end is asked again: a proxy's error page must not leave a token
/// alive.
pub(super) fn judge(style: &RevocationStyle, status: StatusCode, body: &[u8]) -> Verdict {
    match (style, status) {
        (_, status) if status.is_success() => Verdict::Done,
        (RevocationStyle::Request(_), StatusCode::NOT_FOUND | StatusCode::GONE) => Verdict::Done,
        (RevocationStyle::Rfc7009, StatusCode::BAD_REQUEST) if error(body) == "unsupported_token_type" => {
            Verdict::Unsupported
        }
        _ => Verdict::Again,
    }
}

fn error(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    json.get("error").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_certain_answer_ends_a_revocation() {
        let (rfc, own) = (RevocationStyle::Rfc7009, RevocationStyle::Request(http::Method::DELETE));
        let unsupported = br#"{"error":"unsupported_token_type"}"#.as_slice();
        for (status, body, by_rfc, by_own) in [
            (200, b"".as_slice(), Verdict::Done, Verdict::Done),
            (204, b"", Verdict::Done, Verdict::Done),
            (302, b"", Verdict::Again, Verdict::Again),
            (400, b"<html>", Verdict::Again, Verdict::Again),
            (400, br#"{"error":"invalid_client"}"#, Verdict::Again, Verdict::Again),
            (400, unsupported, Verdict::Unsupported, Verdict::Again),
            (401, b"", Verdict::Again, Verdict::Again),
            (403, b"", Verdict::Again, Verdict::Again),
            (404, b"", Verdict::Again, Verdict::Done),
            (410, b"", Verdict::Again, Verdict::Done),
            (500, b"", Verdict::Again, Verdict::Again),
            (503, unsupported, Verdict::Again, Verdict::Again),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(judge(&rfc, status, body), by_rfc, "{status}");
            assert_eq!(judge(&own, status, body), by_own, "{status}");
        }
    }
}
