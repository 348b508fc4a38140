//! What counts is who is enrolled when a token is about to leave, not when it was asked for.

use crate::support::{Gateway, Upstream, Wire};

const ISSUED: &str = r#"{"access_token":"t0k3n","token_type":"Bearer","expires_in":3600}"#;

fn ask(gateway: &Gateway, name: &str) -> Wire {
    let body = format!("grant_type=password&username={name}&password=x&client_id=c");
    gateway.send(format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn who_enrols_while_the_password_is_checked_is_challenged() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = ask(&gateway, "bob");
    let mut server = upstream.accept();
    server.read_through("client_id=c");
    gateway.run(&["enrol", "bob"]);
    server.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ISSUED}",
        ISSUED.len()
    ));
    let (head, body) = client.read_answer();
    head.assert_status(401);
    head.assert_field("x-drupal-tfa", "required, schemes=totp");
    assert!(!body.contains("t0k3n"), "{body}");
}

#[test]
fn who_is_disabled_while_the_password_is_checked_gets_in_with_it() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    gateway.run(&["enrol", "bob"]);
    let mut client = ask(&gateway, "bob");
    let mut server = upstream.accept();
    server.read_through("client_id=c");
    gateway.run(&["disable", "bob"]);
    server.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ISSUED}",
        ISSUED.len()
    ));
    client.read_answer().0.assert_status(200);
}
