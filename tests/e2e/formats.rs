//! What a site may choose about the form of token requests.

use crate::{
    cases::expected,
    support::{
        Challenge, Person, Stage, StoreKind, TokenRequest, assert_challenge, assert_denied, assert_token,
        exchange, get, has_token,
    },
};

/// Alice's password grant as multipart, with whatever else is in its head.
fn multipart(head: &str) -> Vec<u8> {
    let part = |(name, value): (&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let fields = [
        ("grant_type", "password"),
        ("username", "alice"),
        ("password", "passw0rd"),
        ("client_id", "testclient"),
        ("client_secret", "testpass"),
    ];
    let body = fields.map(part).concat() + "--b--\r\n";
    let head = format!("POST /oauth2/token HTTP/1.1\r\nHost: gateway.test\r\n{head}");
    let length = body.len();
    format!("{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn stage_with(settings: &[(&str, &str)]) -> (Stage, Person) {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    for (key, value) in settings {
        stage.config.set(key, value);
    }
    let alice = stage.enrol("alice");
    stage.serve();
    (stage, alice)
}

#[test]
fn a_multipart_grant_needs_the_second_factor_and_reaches_the_upstream_as_a_form() {
    let (stage, alice) = stage_with(&[("token_endpoint.multipart", "true")]);
    assert_challenge(&stage.send_raw(&multipart("")), Challenge::CodeWanted);
    let with_code = multipart(&format!("X-Drupal-TFA: {}\r\n", alice.code()));
    let (answer, received) = stage.upstream.received_during(|| stage.send_raw(&with_code));
    assert_token(&answer);
    let [received] = received.as_slice() else { panic!("not once: {received:?}") };
    assert_eq!(received.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(received.parameter("username"), Some("alice"));
}

#[test]
fn a_multipart_grant_is_refused_where_nobody_asked_for_it() {
    let (stage, _) = stage_with(&[]);
    let (answer, received) = stage.upstream.received_during(|| stage.send_raw(&multipart("")));
    assert_denied(&answer, 400, "invalid_request");
    assert!(received.is_empty(), "forwarded: {received:?}");
}

#[test]
fn every_request_goes_on_in_the_encoding_that_the_site_wants() {
    for (wanted, media_type) in
        [("'form'", "application/x-www-form-urlencoded"), ("'json'", "application/json")]
    {
        let (stage, _) = stage_with(&[("token_endpoint.forward_as", wanted)]);
        for request in
            [TokenRequest::password("bob", "hunter22"), TokenRequest::password("bob", "hunter22").in_json()]
        {
            let (_, received) = stage.upstream.received_during(|| stage.send(&request));
            let [received] = received.as_slice() else { panic!("not once: {received:?}") };
            assert_eq!(received.header("content-type"), Some(media_type));
            assert_eq!(received.parameter("password"), Some("hunter22"));
        }
    }
}

#[test]
fn a_request_without_a_client_is_answered_here_where_the_site_wants_one() {
    let (stage, alice) = stage_with(&[("token_endpoint.require_client", "true")]);
    let nobody = TokenRequest::alice().without_client();
    for request in [&nobody, &nobody.clone().parameter("client_id", "")] {
        let (answer, received) = stage.upstream.received_during(|| stage.send(request));
        assert_denied(&answer, 400, "invalid_client");
        assert!(received.is_empty(), "forwarded: {received:?}");
    }
    let half = nobody.clone().header("Authorization", "Basic !").parameter("client_id", "testclient");
    assert_denied(&stage.send(&half), 400, "invalid_request");
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
}

#[test]
fn a_front_controllers_parameters_are_watched_where_the_site_has_one() {
    let (stage, _) = stage_with(&[("upstream.profile", "'php'")]);
    assert_denied(&stage.send_raw(&get("/index.php?r=oauth2/token")), 404, "invalid_request");
    assert_denied(&stage.send_raw(&get("/?/oauth2/token")), 404, "invalid_request");
}

#[test]
fn what_is_refused_by_default_is_no_way_in_when_every_format_is_taken() {
    // An e-mail address of which the gateway cannot know whose it is.
    for forward_as in ["'as-received'", "'form'", "'json'"] {
        let (stage, _) =
            stage_with(&[("token_endpoint.multipart", "true"), ("token_endpoint.forward_as", forward_as)]);
        let mut open = Vec::new();
        for case in expected("no token without a second factor") {
            let (answer, received) =
                stage.upstream.received_during(|| exchange(stage.gateway().address(), &case.raw));
            let released = answer.as_ref().is_some_and(has_token);
            if released && received.iter().any(|received| received.issued_to() == Some("alice")) {
                open.push(case.id);
            }
        }
        assert!(open.is_empty(), "forwarded {forward_as}: {open:?}");
    }
}
