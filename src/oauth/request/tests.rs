use http::header::CONTENT_TYPE;
use proptest::prelude::*;

use super::*;

fn headers(encoding: Encoding) -> HeaderMap {
    let request = TokenRequest { encoding, body: vec![], query: vec![] };
    HeaderMap::from_iter([(CONTENT_TYPE, request.content_type())])
}

fn form(body: &str) -> Result<TokenRequest, RequestFault> {
    TokenRequest::parse(&headers(Encoding::Form), None, body.as_bytes())
}

fn json(body: &str) -> Result<TokenRequest, RequestFault> {
    TokenRequest::parse(&headers(Encoding::Json), None, body.as_bytes())
}

fn refused(parsed: Result<TokenRequest, RequestFault>, wanted: &str) {
    match parsed {
        Ok(_) => panic!("was accepted; should say: {wanted}"),
        Err(fault) => assert!(fault.to_string().contains(wanted), "{fault} does not say: {wanted}"),
    }
}

const GOOD: &str = "grant_type=password&username=alice&password=secret&client_id=cli";

#[test]
fn values_are_preserved_exactly() {
    for password in ["a b", "a=b", "a;b", "100%", "a+b", " edge ", "pässwörd", "日本語", "🔑", "a&b", "\"\\'"]
    {
        let encoded: String = form_urlencoded::byte_serialize(password.as_bytes()).collect();
        let from_form = form(&format!("grant_type=password&username=u&password={encoded}")).unwrap();
        assert_eq!(from_form.parameter("password"), Some(password));
        let sent = from_form.encode_body();
        let read: Vec<_> = form_urlencoded::parse(&sent).into_owned().collect();
        assert!(read.contains(&("password".into(), password.into())), "{password:?}");
        let object = serde_json::json!({"grant_type": "password", "username": "u", "password": password});
        let from_json = json(&object.to_string()).unwrap();
        let sent: serde_json::Value = serde_json::from_slice(&from_json.encode_body()).unwrap();
        assert_eq!(sent, object);
    }
}

#[test]
fn sloppy_but_unambiguous_forms_are_read() {
    for body in [
        &format!("{GOOD}&"),
        &format!("{GOOD}\r\n"),
        "grant%5Ftype=password&username=alice&password=sec=ret&client%5Fid=cli",
        "grant_type=password&username=alice&password=sec;ret&x=!*()'",
    ] {
        assert!(form(body).unwrap().username() == Ok("alice"), "{body}");
    }
}

#[test]
fn what_two_parsers_read_differently_is_refused_by_name() {
    refused(form(&format!("{GOOD}&username=mallory")), "'username' must appear only once");
    refused(form(&format!("{GOOD}&Username=mallory")), "'Username' must be spelled in lower case");
    refused(form(&format!("{GOOD}&grant.type=x")), "'grant.type' must have a name of letters");
    refused(form(&format!("{GOOD}&grant+type=x")), "'grant?type' must have a name of letters");
    refused(form(&format!("{GOOD}&grant%5Btype=x")), "must have a name of letters");
    refused(form(&format!("{GOOD}&username%5B%5D=x")), "must have a name of letters");
    refused(form(&format!("{GOOD}&x%00=1")), "must have a name of letters");
    refused(form(&format!("{GOOD}&=1")), "must have a name of letters");
    refused(form(&format!("{GOOD}&x=%00")), "'x' must not contain control characters");
    refused(form(&format!("{GOOD}&x=%u0067")), "'x' has a '%'");
    refused(form(&format!("{GOOD}&x=%ff")), "'x' must be UTF-8");
    refused(form("username=alice&password=x"), "'grant_type' is required");
    refused(form("x=1;grant_type=password&username=alice&password=x"), "'grant_type' is required");
    refused(form("grant_type=Password&username=alice&password=x"), "must be spelled 'password'");
    refused(form("grant_type=+password&username=alice&password=x"), "must be a grant name or URI");
    let many = (0..70).fold(String::new(), |text, n| format!("{text}&x{n}=1"));
    refused(form(&format!("{GOOD}{many}")), "more than 64 parameters");
    refused(json(r#"{"grant_type":"password","username":"a","username":"b","password":"x"}"#), "only once");
    refused(json(r#"{"grant_type":"password","\u0075sername":"a","username":"b"}"#), "only once");
    for body in
        ["[]", "1", "{\"a\":1}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":null}", "{} {}", "{", "\u{feff}{}"]
    {
        refused(json(body), "must be one JSON object");
    }
    refused(json(&format!("{{\"a\":{}{}}}", "[".repeat(600), "]".repeat(600))), "must be one JSON object");
}

#[test]
fn the_query_may_not_speak_the_protocol() {
    let parse = |query| TokenRequest::parse(&headers(Encoding::Form), Some(query), GOOD.as_bytes());
    for query in ["grant_type=password", "Username=x", "q=oauth2/token", "_method=GET", "client-id=x"] {
        refused(parse(query), "must not be in the query");
    }
    let harmless = parse("_format=json&state=a+b").unwrap();
    assert_eq!(harmless.encode_query().as_deref(), Some("_format=json&state=a+b"));
    assert_eq!(harmless.state(), Some("a b"));
}

#[test]
fn a_password_grant_needs_its_parameters() {
    let missing = form("grant_type=password&username=alice").unwrap();
    assert_eq!(missing.check_password_grant().unwrap_err().to_string(), "parameter 'password' is required");
}

proptest! {
    #[test]
    fn what_was_parsed_is_what_is_sent(
        values in proptest::collection::vec("[^\\p{Cc}]{0,20}", 0..8),
        use_json: bool,
    ) {
        let encoding = if use_json { Encoding::Json } else { Encoding::Form };
        let named = std::iter::once(("grant_type".into(), "password".into()))
            .chain(values.into_iter().enumerate().map(|(n, value)| (format!("p{n}"), value)));
        let body = named.map(|(name, value)| Parameter { name, value: Secret::new(value) }).collect();
        let request = TokenRequest { encoding, body, query: vec![] };
        let again = TokenRequest::parse(&headers(encoding), None, &request.encode_body()).unwrap();
        let pairs = |r: &TokenRequest| -> Vec<(String, String)> {
            r.body.iter().map(|p| (p.name.clone(), p.value.expose().clone())).collect()
        };
        prop_assert_eq!(pairs(&again), pairs(&request));
    }
}
