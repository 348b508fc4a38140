//! Clients that people use, in front of servers that people run.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{Kind, Stage, StoreKind, quietly};

/// A stage in front of a real server with alice enrolled, and what `client` printed when she logged in.
fn log_in(kind: Kind, store: StoreKind, client: impl Fn(&Stage, &str) -> Value) -> Value {
    let mut stage = Stage::prepared_in_front_of(kind, store);
    let alice = stage.enrol("alice");
    stage.serve();
    let report = client(&stage, &alice.code());
    assert_eq!(report["challenge"]["error"], "invalid_grant", "{report:#}");
    assert_eq!(
        report["challenge"]["error_description"], "Two-factor authentication is required",
        "{report:#}"
    );
    assert_eq!(report["challenge"]["status"], 401, "{report:#}");
    assert_eq!(report["challenge"]["header"], "required, schemes=totp", "{report:#}");
    assert!(report["access_token_length"].as_u64() > Some(20), "{report:#}");
    assert_eq!(report["api_status"], 200, "{report:#}");
    report
}

fn scripted<'a>(
    interpreter: &str,
    script: &str,
    issuer: &'a [&str],
) -> impl Fn(&Stage, &str) -> Value + use<'a> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let interpreter = if interpreter.contains('/') { tests.join(interpreter) } else { interpreter.into() };
    let script = tests.join("clients").join(script);
    move |stage, code| {
        let base = format!("http://{}", stage.gateway().address());
        let mut client = Command::new(&interpreter);
        client.arg(&script).args([format!("{base}/oauth2/token"), format!("{base}/oauth2/userinfo")]);
        client.args(["alice", "passw0rd", code]);
        // ID tokens name their issuer, which is the upstream here: the gateway has no name of its own.
        if let [path, algorithm] = issuer {
            client.args([format!("{}{path}", stage.upstream.url()).as_str(), algorithm]);
        }
        serde_json::from_str(&quietly(&mut client)).expect("one JSON object")
    }
}

fn requests_oauthlib() -> impl Fn(&Stage, &str) -> Value {
    scripted(".work/venv/bin/python", "requests_oauthlib_client.py", &[])
}

fn openid_client<'a>(issuer: &'a [&str]) -> impl Fn(&Stage, &str) -> Value + use<'a> {
    scripted("node", "openid_client.mjs", issuer)
}

/// What a person does by hand with curl.
fn curl(stage: &Stage, code: &str) -> Value {
    let base = format!("http://{}", stage.gateway().address());
    let grant = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "-u",
            "testclient:testpass",
            "-w",
            r#"\n{"status":%{http_code},"header":"%header{x-drupal-tfa}"}"#,
        ])
        .args(["-d", "grant_type=password", "-d", "username=alice", "-d", "password=passw0rd"])
        .args(["-d", "scope=openid basic"])
        .args(more)
        .arg(format!("{base}/oauth2/token"));
        let printed = quietly(&mut curl);
        let (body, seen) = printed.rsplit_once('\n').expect("two parts");
        let parsed =
            |json: &str| serde_json::from_str::<Value>(json).unwrap_or_else(|e| panic!("{e}: {printed}"));
        (parsed(body), parsed(seen))
    };
    let (mut challenge, seen) = grant(&[]);
    challenge["status"] = seen["status"].clone();
    challenge["header"] = seen["header"].clone();
    let (answer, _) = grant(&["-H", &format!("X-Drupal-TFA: {code}")]);
    let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}"));
    let mut api = Command::new("curl");
    api.args([
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        &format!("Authorization: Bearer {token}"),
    ]);
    let status: u16 = quietly(api.arg(format!("{base}/oauth2/userinfo"))).parse().expect("a status");
    serde_json::json!({ "challenge": challenge, "access_token_length": token.len(), "api_status": status })
}

#[test]
fn curl_logs_in_to_glewlwyd() {
    log_in(Kind::Glewlwyd, StoreKind::Redis, curl);
}

#[test]
fn curl_logs_in_to_doorkeeper() {
    log_in(Kind::Doorkeeper, StoreKind::Embedded, curl);
}

#[test]
fn requests_oauthlib_logs_in_to_glewlwyd() {
    log_in(Kind::Glewlwyd, StoreKind::Embedded, requests_oauthlib());
}

#[test]
fn requests_oauthlib_logs_in_to_doorkeeper() {
    log_in(Kind::Doorkeeper, StoreKind::Redis, requests_oauthlib());
}

#[test]
fn openid_client_logs_in_to_glewlwyd() {
    let report = log_in(Kind::Glewlwyd, StoreKind::Redis, openid_client(&["/oauth2", "HS256"]));
    assert_eq!(report["challenge"]["type"], "ResponseBodyError");
}

#[test]
fn openid_client_logs_in_to_doorkeeper() {
    let report = log_in(Kind::Doorkeeper, StoreKind::Embedded, openid_client(&["", "RS256"]));
    assert_eq!(report["challenge"]["type"], "ResponseBodyError");
}
