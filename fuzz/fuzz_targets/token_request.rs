//! Token requests of any content type, query and body.
//!
//! Held: what is accepted is, encoded and parsed again, the same request; and parsers that are not ours read
//! the same pairs from what came and from what is sent.
//!
//! An input is a byte of rules, a line of Content-Type, a line of query, and the body.

#![no_main]

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use libfuzzer_sys::fuzz_target;
use tfa_gateway::oauth::{ForwardAs, RequestRules, TokenRequest};

type Pairs = Vec<(String, String)>;

fn rules(byte: u8) -> RequestRules {
    let forward_as = match byte & 3 {
        0 | 1 => ForwardAs::AsReceived,
        2 => ForwardAs::Form,
        _ => ForwardAs::Json,
    };
    RequestRules { multipart: byte & 4 != 0, forward_as, require_client: byte & 8 != 0 }
}

fn of_type(media_type: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, media_type)])
}

/// What libraries make of a body, in the order of names; `None` for multipart, of which there is none here.
fn read_by_others(media_type: &HeaderValue, body: &[u8]) -> Option<Pairs> {
    let media_type = media_type.to_str().expect("ASCII").to_ascii_lowercase();
    let body = body.strip_suffix(b"\n").map_or(body, |body| body.strip_suffix(b"\r").unwrap_or(body));
    let mut pairs: Pairs = if media_type.trim_start().starts_with("application/json") {
        let object: BTreeMap<String, String> = serde_json::from_slice(body).expect("an object of strings");
        object.into_iter().collect()
    } else if media_type.trim_start().starts_with("application/x-www-form-urlencoded") {
        form_urlencoded::parse(body).into_owned().collect()
    } else {
        return None;
    };
    pairs.sort();
    Some(pairs)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (media_type, query, body) = (line(), line(), line());
    let (Ok(media_type), Ok(query)) = (HeaderValue::from_bytes(media_type), std::str::from_utf8(query))
    else {
        return;
    };
    let headers = of_type(media_type.clone());
    let Ok(request) = TokenRequest::parse(rules(*first), &headers, Some(query), body) else { return };

    let (sent, sent_query) = (request.encode_body(), request.encode_query());
    let again = TokenRequest::parse(
        RequestRules::default(),
        &of_type(request.content_type()),
        sent_query.as_deref(),
        &sent,
    )
    .expect("what is sent is accepted");
    assert_eq!(again.encode_body(), sent);
    assert_eq!(again.encode_query(), sent_query);
    assert_eq!(again.grant_type(), request.grant_type());
    assert_eq!(again.state(), request.state());
    assert_eq!(again.grant_type(), request.grant_type());
    assert_eq!(again.scope(), request.scope());

    let sent_pairs = read_by_others(&request.content_type(), &sent).expect("a form or JSON");
    if let Some(pairs) = read_by_others(&media_type, body) {
        assert_eq!(pairs, sent_pairs);
    }
    let claimed = sent_pairs.iter().find(|(name, _)| name == "grant_type").expect("a grant type");
    assert_eq!(claimed.1, request.grant_type());
    let _ = request.names_client(&headers);
});
