//! TLS to the upstream and to Redis, with certificates of an authority that the system is told to trust.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
};

use crate::support::{
    Challenge, PATIENCE, Stage, StoreKind, TokenRequest, assert_challenge, assert_denied, assert_token, end,
    exchange, free_port, get, lines, quietly, spawn,
};

/// Certificates of one authority, for the address 127.0.0.1 or for a name that nothing has.
pub(crate) struct Authority {
    dir: PathBuf,
    name: &'static str,
}

impl Authority {
    pub(crate) fn new(dir: &Path) -> Self {
        Self::named(dir, "ca")
    }

    /// One whose files have that name.
    pub(crate) fn named(dir: &Path, name: &'static str) -> Self {
        let authority = Self { dir: dir.to_owned(), name };
        authority
            .openssl(&["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=Test authority"], name);
        authority
    }

    /// A server's certificate and its key.
    pub(crate) fn certify(&self, alternative_name: &str) -> (PathBuf, PathBuf) {
        self.certify_as("server", &format!("/CN={alternative_name}"), alternative_name)
    }

    /// The certificate of somebody, and its key, in files of that name.
    pub(crate) fn certify_as(&self, file: &str, name: &str, alternative_name: &str) -> (PathBuf, PathBuf) {
        let extension = format!("subjectAltName={alternative_name}");
        let (ca, ca_key) =
            (self.file(&format!("{}.pem", self.name)), self.file(&format!("{}.key", self.name)));
        self.openssl(
            &[
                "req",
                "-x509",
                "-nodes",
                "-newkey",
                "rsa:2048",
                "-subj",
                name,
                "-addext",
                &extension,
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
            ],
            file,
        );
        (self.file(&format!("{file}.pem")).into(), self.file(&format!("{file}.key")).into())
    }

    fn openssl(&self, arguments: &[&str], name: &str) {
        let (certificate, key) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        quietly(Command::new("openssl").args(arguments).args([
            "-days",
            "2",
            "-out",
            &certificate,
            "-keyout",
            &key,
        ]));
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().expect("UTF-8").to_owned()
    }
}

/// A process that ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// TLS in front of the stage's upstream; the stage is told to go there.
fn put_tls_in_front(stage: &mut Stage, (certificate, key): (PathBuf, PathBuf)) -> Ending {
    let (front, port) = front(stage, &[text(&certificate), text(&key)], &[]);
    stage.config.set_text("upstream.url", &format!("https://127.0.0.1:{port}"));
    front
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Something in front of the stage's upstream, and where it is.
fn front(stage: &Stage, before: &[&str], after: &[&str]) -> (Ending, String) {
    let mut command = Command::new("node");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upstreams/tls/front.mjs"))
        .args(before)
        .arg(stage.upstream.address().port().to_string())
        .args(after);
    let mut front = spawn(&command);
    let output = lines(front.stdout.take().expect("a pipe"));
    let ready = output.recv_timeout(PATIENCE).expect("it gets ready");
    let place = ready.trim().strip_prefix("READY ").expect("its place").to_owned();
    (Ending(front), place)
}

#[test]
fn an_upstream_that_wants_a_certificate_is_shown_one_and_a_private_authority_is_trusted() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let authority = Authority::new(stage.config.dir());
    let (certificate, key) = authority.certify("IP:127.0.0.1");
    let clients = Authority::named(stage.config.dir(), "clients");
    let (own, own_key) = clients.certify_as("gateway", "/CN=gateway", "DNS:gateway.test");
    let (_front, port) = front(&stage, &[text(&certificate), text(&key)], &[&clients.file("clients.pem")]);
    stage.config.set_text("upstream.url", &format!("https://127.0.0.1:{port}"));
    stage.config.set_text("upstream.ca_file", &authority.file("ca.pem"));
    let alice = stage.enrol("alice");
    stage.serve();
    // Without one nobody is let in.
    assert_denied(&stage.send(&TokenRequest::alice()), 502, "temporarily_unavailable");
    stage.config.set_text("upstream.certificate_file", text(&own));
    stage.config.set_text("upstream.key_file", text(&own_key));
    stage.config.set_text("revocation.style", "rfc7009");
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    // What asks on the gateway's own account shows it, too.
    crate::revocation::until_counted(&stage, "revoked", 1);
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
}

#[test]
fn an_upstream_behind_a_socket_of_the_machine_is_used() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let socket = stage.config.dir().join("site.sock");
    let (_front, path) = front(&stage, &["unix", text(&socket)], &[]);
    stage.config.set_text("upstream.url", &format!("unix:{path}"));
    stage.config.set_text("revocation.style", "rfc7009");
    let alice = stage.enrol("alice");
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    crate::revocation::until_counted(&stage, "revoked", 1);
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    assert_eq!(exchange(stage.gateway().admin(), &get("/readyz")).expect("an answer").status, 200);
}

#[test]
fn an_https_upstream_of_a_trusted_authority_is_used() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let authority = Authority::new(stage.config.dir());
    let _front = put_tls_in_front(&mut stage, authority.certify("IP:127.0.0.1"));
    stage.config.set_env("SSL_CERT_FILE", &authority.file("ca.pem"));
    let alice = stage.enrol("alice");
    stage.serve();
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
}

#[test]
fn a_withheld_token_is_revoked_at_an_https_upstream() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let authority = Authority::new(stage.config.dir());
    let _front = put_tls_in_front(&mut stage, authority.certify("IP:127.0.0.1"));
    stage.config.set_env("SSL_CERT_FILE", &authority.file("ca.pem"));
    stage.config.set_text("revocation.style", "rfc7009");
    stage.enrol("alice");
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    crate::revocation::until_counted(&stage, "revoked", 1);
    assert!(stage.upstream.issued_tokens().is_empty());
}

#[test]
fn an_https_upstream_of_another_name_or_authority_gets_no_password() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let authority = Authority::new(stage.config.dir());
    let _front = put_tls_in_front(&mut stage, authority.certify("DNS:elsewhere.test"));
    stage.config.set_env("SSL_CERT_FILE", &authority.file("ca.pem"));
    stage.serve();
    assert_denied(&stage.send(&TokenRequest::alice()), 502, "temporarily_unavailable");

    let _front = put_tls_in_front(&mut stage, authority.certify("IP:127.0.0.1"));
    stage.config.set_env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    stage.serve();
    assert_denied(&stage.send(&TokenRequest::alice()), 502, "temporarily_unavailable");
}

#[test]
fn a_redis_behind_tls_is_used_if_its_authority_is_trusted_and_not_otherwise() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let authority = Authority::new(stage.config.dir());
    let (certificate, key) = authority.certify("IP:127.0.0.1");
    let port = free_port().to_string();
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            "0",
            "--tls-port",
            &port,
            "--bind",
            "127.0.0.1",
            "--tls-auth-clients",
            "no",
            "--save",
            "",
        ])
        .args(["--requirepass", "hunter2hunter2", "--tls-ca-cert-file", &authority.file("ca.pem")])
        .args(["--tls-cert-file".as_ref(), certificate.as_os_str()])
        .args(["--tls-key-file".as_ref(), key.as_os_str()]);
    let mut redis = spawn(&command);
    let output = lines(redis.stdout.take().expect("a pipe"));
    let _redis = Ending(redis);
    while !output.recv_timeout(PATIENCE).expect("redis-server gets ready").contains("Ready to accept") {}

    stage.config.set_text("store.url", &format!("rediss://:hunter2hunter2@127.0.0.1:{port}/0"));
    stage.config.set("store.timeout_ms", "5000");
    stage.config.run(&["keys", "generate"]).ok();
    stage.config.set_env("SSL_CERT_FILE", &authority.file("ca.pem"));
    let alice = stage.enrol("alice");
    stage.serve();
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));

    stage.config.set_env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    stage.serve();
    assert_denied(&stage.send(&TokenRequest::alice()), 503, "temporarily_unavailable");
}
