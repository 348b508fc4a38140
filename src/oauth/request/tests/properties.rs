//! Whatever is accepted is sent as it was meant, in every encoding.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::oauth::ForwardAs;

type Pairs = Vec<(String, String)>;

/// Any Unicode but what no value may hold.
fn value() -> impl Strategy<Value = String> {
    let drawn = prop_oneof![Just(String::new()), "\\PC{0,12}", "[ -~]{0,12}", any::<String>()];
    drawn.prop_map(|text| text.chars().filter(|c| !is_unreadable(*c)).collect())
}

/// Names as clients invent them, each once whatever its case, and none of the protocol's.
fn pairs() -> impl Strategy<Value = Pairs> {
    vec(("[A-Za-z0-9_-]{1,20}", value()), 0..12).prop_map(|drawn| {
        let mut seen = BTreeSet::new();
        let is_free = |name: &str| spoken(name, &canonical(name)).is_none() && canonical(name) != "_charset_";
        let mut pairs = vec![("grant_type".to_owned(), "password".to_owned())];
        pairs.extend(
            drawn.into_iter().filter(|(name, _)| is_free(name) && seen.insert(canonical(name).into_owned())),
        );
        pairs
    })
}

fn multipart(pairs: &[(String, String)], boundary: &str) -> Vec<u8> {
    let part = |(name, value): &(String, String)| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    (pairs.iter().map(part).collect::<String>() + &format!("--{boundary}--\r\n")).into_bytes()
}

fn as_form(pairs: &[(String, String)]) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes()
}

/// Written by hand, for `serde_json` would sort the members.
fn as_json(pairs: &[(String, String)]) -> Vec<u8> {
    let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    let members = pairs.iter().map(|(name, value)| quoted(name) + ":" + &quoted(value));
    format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes()
}

fn read(request: &TokenRequest) -> Pairs {
    request.body.iter().map(|p| (p.name.clone(), p.value.expose().clone())).collect()
}

/// What a parser that is not ours makes of the encoded body. JSON objects have no order.
fn read_by_others(request: &TokenRequest) -> BTreeSet<(String, String)> {
    let body = request.encode_body();
    if request.content_type() == "application/json" {
        return serde_json::from_slice::<std::collections::BTreeMap<String, String>>(&body)
            .unwrap()
            .into_iter()
            .collect();
    }
    form_urlencoded::parse(&body).into_owned().collect()
}

fn any_rules() -> impl Strategy<Value = RequestRules> {
    select(vec![ForwardAs::AsReceived, ForwardAs::Form, ForwardAs::Json])
        .prop_map(|forward_as| RequestRules { multipart: true, forward_as, require_client: false })
}

proptest! {
    #[test]
    fn what_was_meant_is_what_is_read_and_sent_and_read_again(pairs in pairs(), rules in any_rules()) {
        for (media_type, body) in [
            ("application/x-www-form-urlencoded", as_form(&pairs)),
            ("application/json", as_json(&pairs)),
            ("multipart/form-data; boundary=x-7MA4YWxk", multipart(&pairs, "x-7MA4YWxk")),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
            let request = TokenRequest::parse(rules, &headers, None, &body).unwrap();
            prop_assert_eq!(&read(&request), &pairs, "{}", media_type);
            prop_assert_eq!(read_by_others(&request), pairs.iter().cloned().collect::<BTreeSet<_>>());
            let sent = HeaderMap::from_iter([(CONTENT_TYPE, request.content_type())]);
            let again =
                TokenRequest::parse(RequestRules::default(), &sent, None, &request.encode_body()).unwrap();
            prop_assert_eq!(read(&again), pairs.clone());
            let expected = match (rules.forward_as, media_type) {
                (ForwardAs::Json, _) | (ForwardAs::AsReceived, "application/json") => "application/json",
                _ => "application/x-www-form-urlencoded",
            };
            prop_assert_eq!(request.content_type(), expected);
        }
    }

    #[test]
    fn what_is_left_of_the_query_is_read_again_as_it_was(pairs in pairs()) {
        let headers = headers(Encoding::Form);
        let query = String::from_utf8(as_form(&pairs[1..])).unwrap();
        let request =
            TokenRequest::parse(RequestRules::default(), &headers, Some(&query), b"grant_type=x").unwrap();
        prop_assert_eq!(request.encode_query().unwrap_or_default(), query);
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(
        body in vec(any::<u8>(), 0..200),
        query in "\\PC{0,40}",
        media_type in select(vec![
            "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=b",
        ]),
        rules in any_rules(),
    ) {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        let framed = [b"--b\r\n".as_slice(), &body, b"\r\n--b--"].concat();
        for body in [&body, &framed] {
            if let Ok(request) = TokenRequest::parse(rules, &headers, Some(&query), body) {
                prop_assert!(!request.grant_type().is_empty());
            }
        }
    }
}
