//! The request cases of `tests/cases/requests.json`: raw requests of real clients, which must work, and of
//! attackers, who must get nothing.

use data_encoding::BASE64;
use serde_json::{Map, Value};

use crate::support::{Received, Response, Stage, StoreKind, assert_token, exchange, has_token};

/// A raw request and what is expected of it.
pub(crate) struct Case {
    pub(crate) id: String,
    expect: String,
    pub(crate) raw: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let all: Value = serde_json::from_str(include_str!("../cases/requests.json")).expect("JSON");
    let text = |case: &Value, name: &str| case[name].as_str().expect("text").to_owned();
    let case = |case: &Value| Case {
        id: text(case, "id"),
        expect: text(case, "expect"),
        raw: BASE64.decode(text(case, "raw_base64").as_bytes()).expect("base64"),
    };
    all.as_array().expect("a list").iter().map(case).collect()
}

pub(crate) fn expected(what: &str) -> Vec<Case> {
    let chosen: Vec<Case> = cases().into_iter().filter(|case| case.expect == what).collect();
    assert!(!chosen.is_empty(), "no case is {what}");
    chosen
}

impl Case {
    fn split(&self) -> (String, Vec<u8>) {
        let end = self.raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        (String::from_utf8_lossy(&self.raw[..end]).into_owned(), self.raw[end + 4..].to_vec())
    }

    fn method_and_target(&self) -> (String, String) {
        let (head, _) = self.split();
        let mut words = head.split(' ');
        let mut word = || words.next().expect("a request line").to_owned();
        (word(), word())
    }

    /// The parameters that the client meant, read with none of the gateway's code.
    fn parameters(&self) -> Value {
        let (head, body) = self.split();
        let mut text = String::from_utf8(body).expect("UTF-8");
        if head.contains("Transfer-Encoding: chunked") {
            text = text.split("\r\n").nth(1).expect("one chunk").to_owned();
        }
        let text = text.trim_end_matches("\r\n");
        if head.contains("Content-Type: application/json") {
            return serde_json::from_str(text).expect("JSON");
        }
        let pairs = form_urlencoded::parse(text.as_bytes());
        Value::Object(
            pairs.map(|(name, value)| (name.into_owned(), Value::from(value))).collect::<Map<_, _>>(),
        )
    }

    fn send(&self, stage: &Stage) -> (Option<Response>, Vec<Received>) {
        stage.upstream.received_during(|| exchange(stage.gateway().address(), &self.raw))
    }
}

#[test]
fn what_real_clients_send_is_served_and_reaches_the_upstream_as_it_was_meant() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    // Some log in by an e-mail address, of which only the upstream knows whose it is.
    stage.config.set_text("identity.source", "token-info");
    stage.serve();
    for case in expected("served") {
        println!("{}", case.id); // shown when it fails
        let (answer, received) = case.send(&stage);
        assert_token(&answer.expect("an answer"));
        let grants: Vec<_> = received.iter().filter(|received| received.status().is_some()).collect();
        let [received] = grants.as_slice() else { panic!("not once: {received:?}") };
        assert_eq!(received.status(), Some(200));
        assert_eq!(received.method(), "POST");
        assert_eq!(received.target().split('?').next(), Some("/oauth2/token"));
        assert_eq!(*received.parameters(), case.parameters());
        assert_eq!(received.header("x-drupal-tfa"), None);
    }
}

#[test]
fn what_is_not_for_the_token_endpoint_passes_through_as_it_is() {
    let stage = Stage::serving(StoreKind::Embedded);
    for case in expected("passed through") {
        println!("{}", case.id);
        let (answer, received) = case.send(&stage);
        let answer = answer.expect("an answer");
        let direct = exchange(stage.upstream.address(), &case.raw).expect("an answer");
        assert_eq!(answer.status, direct.status, "{answer:?}");
        let [received] = received.as_slice() else { panic!("not once: {received:?}") };
        assert_eq!((received.method().to_owned(), received.target().to_owned()), case.method_and_target());
        assert_eq!(received.body(), case.split().1);
    }
}

#[test]
fn no_case_gets_a_token_of_an_enrolled_person_without_a_second_factor() {
    for source in ["username", "token-info"] {
        assert_none_is_open(source);
    }
}

fn assert_none_is_open(source: &str) {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set_text("identity.source", source);
    stage.enrol("alice");
    stage.serve();
    let mut open = Vec::new();
    for case in cases() {
        println!("{}", case.id);
        let (answer, received) = case.send(&stage);
        let released = answer.as_ref().is_some_and(has_token);
        // A token of a client's own, or of someone else, is no business of alice's factor.
        if released && received.iter().any(|received| received.issued_to() == Some("alice")) {
            open.push(case.id);
        }
    }
    assert!(open.is_empty(), "with the subject by {source}: {open:?}");
}
