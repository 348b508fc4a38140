//! The promise in front of products that know nothing of it: challenged, released, relayed, and no token
//! for an attacker.

use crate::{
    cases::expected,
    support::{
        Challenge, Kind, Stage, StoreKind, TokenRequest, assert_challenge, assert_relayed, assert_token,
        exchange, has_token,
    },
};

fn assert_the_second_factor_decides(kind: Kind) {
    let mut stage = Stage::prepared_in_front_of(kind, StoreKind::Embedded);
    let alice = stage.enrol("alice");
    stage.serve();
    let login = TokenRequest::alice();

    let wrong = TokenRequest::password("alice", "not-it");
    let refusal = stage.send_directly(&wrong);
    assert!(!has_token(&refusal), "{refusal:?}");
    assert_relayed(&stage.send(&wrong), &refusal);
    // A right code does not make a wrong password right, and is not used up by it.
    assert_relayed(&stage.send(&wrong.code(&alice.code())), &refusal);

    assert_token(&stage.send_directly(&login));
    assert_challenge(&stage.send(&login), Challenge::CodeWanted);
    assert_challenge(&stage.send(&login.clone().code(&alice.wrong_code())), Challenge::WrongCode);
    let code = alice.code();
    assert_token(&stage.send(&login.clone().code(&code)));
    assert_challenge(&stage.send(&login.code(&code)), Challenge::UsedCode);
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
}

/// Nobody sends a code here, so that no token may come.
fn assert_no_case_gets_a_token(kind: Kind) {
    let mut stage = Stage::prepared_in_front_of(kind, StoreKind::Embedded);
    stage.enrol("alice");
    stage.serve();
    let released = |address, raw: &[u8]| exchange(address, raw).as_ref().is_some_and(has_token);
    let (mut fallen_for, mut open) = (Vec::new(), Vec::new());
    for case in expected("no token without a second factor") {
        println!("{}", case.id); // shown when it fails
        let raw = for_the_products(&case.raw);
        if released(stage.upstream.address(), &raw) {
            fallen_for.push(case.id.clone());
        }
        if released(stage.gateway().address(), &raw) || released(stage.gateway().address(), &case.raw) {
            open.push(case.id);
        }
    }
    assert_eq!(open, [""; 0], "tokens without a code");
    assert!(fallen_for.len() >= 2, "the server alone gives a token only for {fallen_for:?}");
}

/// The case with a client, a password and a scope that the products know, so that only the gateway is in
/// its way. A compressed body stays what it is.
fn for_the_products(raw: &[u8]) -> Vec<u8> {
    const CLIENT: &str = "Authorization: Basic dGVzdGNsaWVudDp0ZXN0cGFzcw==";
    const SCOPE_PART: &str =
        "testclient\r\n--BB\r\nContent-Disposition: form-data; name=\"scope\"\r\n\r\nbasic\r\n--BB--";
    let Ok(text) = str::from_utf8(raw) else { return raw.to_vec() };
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let body = body
        .replace("secret", "passw0rd")
        .replace("client_id=cli", "client_id=testclient&scope=basic")
        .replace("\"cli\"", "\"testclient\",\"scope\":\"basic\"")
        .replace("cli\n--BB--", "testclient\n--BB--")
        .replace("cli\r\n--BB--", SCOPE_PART);
    let length = format!("Content-Length: {}", body.len());
    let lines = head.split("\r\n");
    let lines = lines.map(|line| if line.starts_with("Content-Length:") { &length } else { line });
    let head: Vec<&str> = lines.chain([CLIENT]).collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}

#[test]
fn the_second_factor_decides_in_front_of_glewlwyd() {
    assert_the_second_factor_decides(Kind::Glewlwyd);
}

#[test]
fn the_second_factor_decides_in_front_of_doorkeeper() {
    assert_the_second_factor_decides(Kind::Doorkeeper);
}

#[test]
fn the_second_factor_decides_in_front_of_lemonldap() {
    assert_the_second_factor_decides(Kind::Lemonldap);
}

#[test]
fn no_case_gets_a_token_of_glewlwyd() {
    assert_no_case_gets_a_token(Kind::Glewlwyd);
}

#[test]
fn no_case_gets_a_token_of_doorkeeper() {
    assert_no_case_gets_a_token(Kind::Doorkeeper);
}

#[test]
fn no_case_gets_a_token_of_lemonldap() {
    assert_no_case_gets_a_token(Kind::Lemonldap);
}
