//! TLS on the private listener, and client certificates, with curl.

use std::{path::PathBuf, process::Command};

use super::{Stage, StoreKind, Value, make_tokens};
use crate::{support::quietly, tls::Authority};

/// A stage whose private listener speaks TLS.
struct Protected {
    stage: Stage,
    authority: Authority,
    token: String,
}

impl Protected {
    fn new() -> Self {
        let mut stage = Stage::prepared(StoreKind::Embedded);
        let authority = Authority::new(stage.config.dir());
        let (certificate, key) = authority.certify("IP:127.0.0.1");
        stage.config.set_text("admin.certificate_file", certificate.to_str().expect("UTF-8"));
        stage.config.set_text("admin.key_file", key.to_str().expect("UTF-8"));
        stage.config.set_text("admin.client_ca_file", &authority.file("ca.pem"));
        let token = make_tokens(&mut stage, &[("monitor", "[\"read\"]")]).remove(0);
        stage.serve();
        Self { stage, authority, token }
    }

    fn curl(&self, method: &str, path: &str, certificate: Option<&(PathBuf, PathBuf)>) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}"]).args([
            "--request",
            method,
            "--cacert",
            &self.authority.file("ca.pem"),
        ]);
        if let Some((certificate, key)) = certificate {
            curl.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        curl.arg(format!("https://{}{path}", self.stage.gateway().admin()));
        curl
    }
}

fn status(curl: &mut Command) -> (u16, String) {
    let printed = quietly(curl);
    let (body, status) = printed.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

#[test]
fn a_client_certificate_may_do_everything_in_the_name_it_bears() {
    let protected = Protected::new();
    let carol = protected.authority.certify_as("carol", "/O=Example/CN=carol", "email:carol@example.org");
    let (code, body) = status(&mut protected.curl("POST", "/api/v1/subjects/alice/factors", Some(&carol)));
    assert_eq!(code, 201, "{body}");
    // Without a common name it is the alternative name.
    let dave = protected.authority.certify_as("dave", "/O=Example", "email:dave@example.org");
    let (code, body) = status(&mut protected.curl("POST", "/api/v1/subjects/alice/reset", Some(&dave)));
    assert_eq!(code, 200, "{body}");
    let (code, body) = status(&mut protected.curl("GET", "/api/v1/audit", Some(&carol)));
    let trail: Value = serde_json::from_str(&body).expect("JSON");
    let actors: Vec<_> =
        trail["events"].as_array().expect("events").iter().map(|event| &event["actor"]).collect();
    assert_eq!((code, actors.len()), (200, 3), "{body}");
    assert_eq!((actors[0], actors[2]), (&"api:cert:dave@example.org".into(), &"api:cert:carol".into()));

    // A page of another site that has a browser send it.
    let mut forged = protected.curl("POST", "/api/v1/subjects/alice/reset", Some(&carol));
    assert_eq!(status(forged.args(["--header", "Origin: https://evil.test"])).0, 403);
    // A token that is shown decides, whatever certificate is with it.
    let bearer = format!("Authorization: Bearer {}", protected.token);
    let mut both = protected.curl("POST", "/api/v1/subjects/alice/reset", Some(&carol));
    assert_eq!(status(both.args(["--header", &bearer])).0, 403);
}

#[test]
fn without_a_certificate_there_are_probes_and_tokens_and_nothing_else() {
    let protected = Protected::new();
    for path in ["/healthz", "/metrics"] {
        assert_eq!(status(&mut protected.curl("GET", path, None)).0, 200, "{path}");
    }
    assert_eq!(status(&mut protected.curl("GET", "/api/v1/subjects", None)).0, 401);
    let bearer = format!("Authorization: Bearer {}", protected.token);
    let mut with_token = protected.curl("GET", "/api/v1/subjects", None);
    assert_eq!(status(with_token.args(["--header", &bearer])).0, 200);
}

#[test]
fn a_certificate_of_another_authority_opens_nothing() {
    let protected = Protected::new();
    let other = Authority::named(protected.stage.config.dir(), "other");
    let mallory = other.certify_as("mallory", "/CN=carol", "email:carol@example.org");
    for path in ["/api/v1/subjects", "/healthz"] {
        let ended = protected.curl("GET", path, Some(&mallory)).output().expect("curl runs");
        assert!(!ended.status.success(), "{path}: {ended:?}");
    }
    let plain = format!("http://{}/healthz", protected.stage.gateway().admin());
    let ended = Command::new("curl").args(["--silent", &plain]).output().expect("curl runs");
    assert!(!ended.status.success(), "{ended:?}");
}
