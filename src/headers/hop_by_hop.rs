//! Connection-specific fields (RFC 9110 section 7.6.1).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE,
        HOST, SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE, VIA,
    },
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields that section 7.6.1 wants removed whether or not `Connection` names them.
static ALWAYS: [HeaderName; 6] = [CONNECTION, PROXY_CONNECTION, KEEP_ALIVE, TE, TRANSFER_ENCODING, UPGRADE];

/// End-to-end fields that a `Connection` line cannot name away. A sender must not list them (section 7.6.1),
/// and one that does wants the next hop to see another request than the one that was judged.
const KEPT: [HeaderName; 9] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    SET_COOKIE,
    VIA,
];

/// Removes them from a request. `TE: trailers` and an upgrade to `websocket` are asked for anew; any other
/// upgrade is not: a tunnel of HTTP/2 cleartext, say, would lead past the gateway.
///
/// Returns whether the request asks for that upgrade.
pub fn remove_from_request(headers: &mut HeaderMap) -> bool {
    if !headers.keys().any(|name| ALWAYS.contains(name)) {
        return false;
    }
    let wants_trailers = tokens(headers, &TE).any(|t| t.eq_ignore_ascii_case("trailers"));
    let wants_upgrade = tokens(headers, &CONNECTION).any(|t| t.eq_ignore_ascii_case("upgrade"));
    let mut protocols = tokens(headers, &UPGRADE);
    let wants_websocket = wants_upgrade
        && protocols.next().is_some_and(|p| p.eq_ignore_ascii_case("websocket"))
        && protocols.next().is_none();
    drop(protocols);
    remove(headers);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if wants_websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    wants_websocket
}

/// Removes them from a response; of a completed upgrade, keeps what says so.
pub fn remove_from_response(headers: &mut HeaderMap, is_upgrade: bool) {
    let protocol = if is_upgrade { headers.remove(UPGRADE) } else { None };
    remove(headers);
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

fn remove(headers: &mut HeaderMap) {
    // Most heads have one of them or none, and to compare names costs less than to look each of them up.
    let present = ALWAYS.each_ref().map(|always| headers.keys().any(|name| name == always));
    if present == [false; ALWAYS.len()] {
        return;
    }
    // The body's framing is written anew; of two lengths, the chunks are the true one (RFC 9112 section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    if !headers.get_all(CONNECTION).iter().all(names_no_field) {
        let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
            .filter_map(|token| token.parse::<HeaderName>().ok())
            .filter(|name| !is_option(name.as_str()))
            .filter(|name| !KEPT.contains(name) && !name.as_str().starts_with("x-forwarded-"))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for (name, is_present) in ALWAYS.iter().zip(present) {
        if is_present {
            headers.remove(name);
        }
    }
}

/// Whether a line of `Connection` has nothing but one option, as most have.
fn names_no_field(line: &HeaderValue) -> bool {
    line.to_str().is_ok_and(is_option)
}

/// Options of a connection that are no names of fields.
fn is_option(token: &str) -> bool {
    token.eq_ignore_ascii_case("keep-alive") || token.eq_ignore_ascii_case("close")
}

/// The comma-separated tokens of all lines of a field.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn every_connection_line_is_read() {
        let mut request = map(&[
            ("connection", "close, x-one"),
            ("connection", "X-Two"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("upgrade", "h2c"),
        ]);
        assert!(!remove_from_request(&mut request));
        assert_eq!(request, headers(&[("x-three", "3")]));
    }

    #[test]
    fn end_to_end_fields_cannot_be_named_away() {
        let kept = [("host", "a"), ("authorization", "b"), ("content-type", "c"), ("x-forwarded-for", "d")];
        let mut request = map(&kept);
        request.append(
            CONNECTION,
            HeaderValue::from_static("host, authorization, content-type, x-forwarded-for"),
        );
        remove_from_request(&mut request);
        assert_eq!(request, headers(&kept));
    }

    #[test]
    fn only_a_websocket_upgrade_is_asked_for_anew() {
        for (upgrade, wanted) in
            [("websocket", true), ("WebSocket", true), ("h2c", false), ("websocket, h2c", false)]
        {
            let mut request = map(&[("connection", "Upgrade"), ("upgrade", upgrade)]);
            assert_eq!(remove_from_request(&mut request), wanted, "{upgrade}");
            assert_eq!(request.contains_key(UPGRADE), wanted, "{upgrade}");
        }
        assert!(!remove_from_request(&mut map(&[("upgrade", "websocket")])));
    }

    #[test]
    fn trailers_are_asked_for_anew() {
        let mut request = map(&[("connection", "te"), ("te", "deflate, trailers;q=0.5"), ("te", "trailers")]);
        remove_from_request(&mut request);
        assert_eq!(request, headers(&[("te", "trailers")]));
    }

    #[test]
    fn a_response_keeps_what_completes_an_upgrade() {
        let lines = [("connection", "upgrade, x-one"), ("upgrade", "websocket"), ("x-one", "1")];
        let mut switched = map(&lines);
        remove_from_response(&mut switched, true);
        assert_eq!(switched, headers(&[("connection", "upgrade"), ("upgrade", "websocket")]));
        let mut plain = map(&lines);
        remove_from_response(&mut plain, false);
        assert!(plain.is_empty());
    }
}
