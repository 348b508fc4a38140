//! The public listener: TLS, names, HTTP/2, client certificates and PROXY headers, with curl and openssl.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    support::{
        PATIENCE, Stage, StoreKind, TokenRequest, assert_token, end, free_port, get, quietly,
        site::wait_until, spawn,
    },
    tls::Authority,
};

/// A stage that speaks TLS with a certificate for 127.0.0.1 and `site.test`, and with another for `*.other.test`.
struct Secure {
    stage: Stage,
    authority: Authority,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn use_certificate(stage: &mut Stage, (certificate, key): &(PathBuf, PathBuf)) {
    stage.config.set_text("listen.certificate_file", text(certificate));
    stage.config.set_text("listen.key_file", text(key));
}

impl Secure {
    fn prepared() -> Self {
        let mut stage = Stage::prepared(StoreKind::Embedded);
        let authority = Authority::new(stage.config.dir());
        let first = authority.certify_as("first", "/CN=first", "IP:127.0.0.1,DNS:site.test");
        let (certificate, key) = authority.certify_as("other", "/CN=other", "DNS:*.other.test");
        use_certificate(&mut stage, &first);
        let others =
            format!("[{{ certificate_file = '{}', key_file = '{}' }}]", text(&certificate), text(&key));
        stage.config.set("listen.certificates", &others);
        Self { stage, authority }
    }

    fn serving() -> Self {
        let mut secure = Self::prepared();
        secure.stage.serve();
        secure
    }

    /// curl to a host name, which leads to the gateway.
    fn curl(&self, host: &str, path: &str, arguments: &[&str]) -> Command {
        let address = self.stage.gateway().address();
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--cacert",
            &self.authority.file("ca.pem"),
        ])
        .args(["--connect-to", &format!("{host}:443:{address}")])
        .args(arguments)
        .arg(format!("https://{host}{path}"));
        curl
    }

    /// The common name of the certificate that is shown for a name.
    fn shown_for(&self, name: &str) -> String {
        let mut openssl = Command::new("openssl");
        openssl.args([
            "s_client",
            "-connect",
            &self.stage.gateway().address().to_string(),
            "-servername",
            name,
        ]);
        let printed = quietly(openssl.stdin(std::process::Stdio::null()));
        let line = printed.lines().find(|line| line.starts_with("subject=")).expect("a subject").to_owned();
        line.rsplit_once("CN = ").expect("a common name").1.to_owned()
    }
}

/// A password grant as curl sends it.
const GRANT: [&str; 4] =
    ["--user", "testclient:testpass", "--data", "grant_type=password&username=bob&password=hunter22"];

#[test]
fn the_certificate_is_that_of_the_name_and_else_the_first() {
    let secure = Secure::serving();
    for (name, expected) in [
        ("site.test", "first"),
        ("a.other.test", "other"),
        ("A.Other.Test", "other"),
        ("a.b.other.test", "first"),
        ("x.test", "first"),
    ] {
        assert_eq!(secure.shown_for(name), expected, "{name}");
    }
}

#[test]
fn a_grant_is_judged_alike_over_both_versions_of_http_and_of_tls() {
    let secure = Secure::serving();
    let alice = secure.stage.enrol("alice");
    for (version, shown) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for tls in ["--tlsv1.2", "--tlsv1.3"] {
            let format =
                ["--write-out", "\n%{http_version} %{http_code}", version, tls, "--tls-max", &tls[6..]];
            let released =
                quietly(&mut secure.curl("site.test", "/oauth2/token", &[&format[..], &GRANT].concat()));
            assert!(
                released.contains("access_token") && released.ends_with(&format!("\n{shown} 200")),
                "{released}"
            );
            let enrolled = [
                "--user",
                "testclient:testpass",
                "--data",
                "grant_type=password&username=alice&password=passw0rd",
            ];
            let mut asked =
                secure.curl("site.test", "/oauth2/token", &[&format[..], &enrolled, &["--include"]].concat());
            let challenged = quietly(&mut asked).to_ascii_lowercase();
            assert!(challenged.contains("x-drupal-tfa: required, schemes=totp"), "{challenged}");
            assert!(challenged.ends_with(&format!("\n{shown} 401")), "{challenged}");
            assert!(!challenged.contains("access_token"), "{challenged}");
        }
    }
    let code = alice.code();
    let header = format!("X-Drupal-TFA: {code}");
    let grant = [
        "--http2",
        "--user",
        "testclient:testpass",
        "--header",
        &header,
        "--data",
        "grant_type=password&username=alice&password=passw0rd",
    ];
    assert!(quietly(&mut secure.curl("site.test", "/oauth2/token", &grant)).contains("access_token"));
    // It is spent for HTTP/1.1 as well.
    assert!(
        !quietly(secure.curl("site.test", "/oauth2/token", &grant).arg("--http1.1")).contains("access_token")
    );
}

/// curl fails on an answer to HEAD that has content (RFC 9110 section 9.3.2).
#[test]
fn an_answer_to_head_has_no_content_in_either_version_of_http() {
    let secure = Secure::serving();
    for version in ["--http1.1", "--http2"] {
        for (path, status) in [("/oauth2/token", "405"), ("/OAUTH2/token", "404"), ("/page", "200")] {
            let answer =
                quietly(&mut secure.curl("site.test", path, &["--head", version])).to_ascii_lowercase();
            let first = answer.lines().next().expect("a status line").to_owned();
            assert!(first.contains(status), "{version} {path}: {answer}");
            assert!(answer.contains("content-length: ") || status == "200", "{version} {path}: {answer}");
        }
    }
}

#[test]
fn what_came_over_http_2_goes_on_as_it_would_have_over_http_1_1() {
    let secure = Secure::serving();
    let sent = ["--http2", "--header", "Cookie: a=1", "--header", "Cookie: b=2", "--data", "x=1"];
    let (answer, received) = secure.stage.upstream.received_during(|| {
        quietly(secure.curl("site.test", "/page?q=1", &sent).args(["--write-out", "%{http_version}"]))
    });
    assert!(answer.ends_with('2'), "{answer}");
    let [received] = &received[..] else { panic!("{received:?}") };
    assert_eq!(received.target(), "/page?q=1");
    for (name, value) in [("host", "site.test"), ("cookie", "a=1; b=2"), ("x-forwarded-proto", "https")] {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    assert!(
        !quietly(
            secure.curl("site.test", "/oauth2/token.json", &["--http2", "--data", "x"]).arg("--include")
        )
        .contains("200")
    );
}

#[test]
fn http_2_can_be_switched_off() {
    let mut secure = Secure::prepared();
    secure.stage.config.set("listen.http2", "false");
    secure.stage.serve();
    let shown = quietly(&mut secure.curl(
        "site.test",
        "/",
        &["--http2", "--output", "/dev/null", "--write-out", "%{http_version}"],
    ));
    assert_eq!(shown, "1.1");
}

#[test]
fn sessions_are_resumed() {
    let secure = Secure::serving();
    let session = secure.stage.config.dir().join("session");
    let address = secure.stage.gateway().address().to_string();
    let connect = |option: &str, tls: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &address, tls, option, text(&session), "-ign_eof"]);
        // In TLS 1.3 a ticket comes after the handshake: the answer to a request is waited for.
        let mut running = openssl
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("openssl runs");
        let request = b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n";
        running.stdin.take().expect("a pipe").write_all(request).expect("sent");
        String::from_utf8_lossy(&running.wait_with_output().expect("it ends").stdout).into_owned()
    };
    for tls in ["-tls1_2", "-tls1_3"] {
        assert!(connect("-sess_out", tls).contains("\nNew, "), "{tls}");
        let second = connect("-sess_in", tls);
        assert!(second.contains("\nReused, "), "{tls}: {second}");
    }
}

#[test]
fn with_authorities_of_clients_nobody_else_is_served() {
    let mut secure = Secure::prepared();
    secure.stage.config.set_text("listen.client_ca_file", &secure.authority.file("ca.pem"));
    secure.stage.serve();
    let other = Authority::named(secure.stage.config.dir(), "stranger");
    let (known, unknown) = (
        secure.authority.certify_as("known", "/CN=known", "DNS:k.test"),
        other.certify_as("unknown", "/CN=unknown", "DNS:u.test"),
    );
    let grant = |certificate: Option<&(PathBuf, PathBuf)>| {
        let mut curl = secure.curl("site.test", "/oauth2/token", &GRANT);
        if let Some((certificate, key)) = certificate {
            curl.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        String::from_utf8_lossy(&curl.output().expect("curl runs").stdout).into_owned()
    };
    assert!(grant(Some(&known)).contains("access_token"));
    for stranger in [None, Some(&unknown)] {
        assert_eq!(grant(stranger), "");
    }
}

#[test]
fn plain_http_gets_nothing_from_a_listener_that_speaks_tls() {
    let secure = Secure::serving();
    let mut client = TcpStream::connect(secure.stage.gateway().address()).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    client.write_all(&get("/")).expect("sent");
    let mut answer = Vec::new();
    // An alert of TLS, and the end.
    client.read_to_end(&mut answer).expect("closed");
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

/// Sends what does not become a request, and waits until it is hung up on.
fn assert_hung_up_on(stage: &Stage, sent: &[u8]) {
    let mut client = TcpStream::connect(stage.gateway().address()).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    // Whoever is hung up on may notice while it still sends.
    let _ = client.write_all(sent);
    let mut answer = Vec::new();
    match client.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        Err(e) => panic!("it is not hung up on: {e}"),
    }
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[test]
fn whoever_does_not_finish_the_handshake_of_tls_is_hung_up_on() {
    let mut secure = Secure::prepared();
    secure.stage.config.set("listen.header_timeout_secs", "1");
    secure.stage.serve();
    // Nothing, and the beginning of a ClientHello of 512 bytes.
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        assert_hung_up_on(&secure.stage, sent);
    }
    assert!(quietly(&mut secure.curl("site.test", "/oauth2/token", &GRANT)).contains("access_token"));
}

/// The address that the upstream is told.
fn forwarded_for(stage: &Stage, before: &[u8]) -> String {
    let (_, received) = stage.upstream.received_during(|| {
        let request = [before, &get("/")].concat();
        stage.send_raw(&request)
    });
    received[0].header("x-forwarded-for").expect("an address").to_owned()
}

#[test]
fn a_proxy_header_says_who_the_client_is() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set("listen.trusted_proxies", "['127.0.0.1']");
    stage.config.set("listen.proxy_protocol", "true");
    stage.serve();
    assert_eq!(forwarded_for(&stage, b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"), "192.0.2.7");
    assert_eq!(forwarded_for(&stage, b"PROXY UNKNOWN\r\n"), "127.0.0.1");
    // One that must come and does not is no request.
    let mut client = TcpStream::connect(stage.gateway().address()).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    client.write_all(&get("/")).expect("sent");
    assert_eq!(client.read(&mut [0; 10]).unwrap_or(0), 0);
}

#[test]
fn a_proxy_header_that_does_not_end_is_hung_up_on() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set("listen.trusted_proxies", "['127.0.0.1']");
    stage.config.set("listen.proxy_protocol", "true");
    stage.config.set("listen.header_timeout_secs", "1");
    stage.serve();
    let endless = vec![b'1'; 100_000];
    for sent in [
        [&b"PROXY TCP4 "[..], &endless].concat(),
        // Of version 2, as long as its length can say.
        [PROXY_V2, b"\x21\x11\xff\xff", &endless].concat(),
        // And those that never go on.
        b"PROXY TCP4 192.0.2.7 10.0".to_vec(),
        PROXY_V2[..8].to_vec(),
        [PROXY_V2, b"\x21\x11\x00\x0c\xc0"].concat(),
    ] {
        assert_hung_up_on(&stage, &sent);
    }
    assert_eq!(forwarded_for(&stage, b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"), "192.0.2.7");
}

/// What version 2 of the PROXY protocol begins with.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

#[test]
fn a_proxy_header_of_version_2_says_who_the_client_is() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set("listen.trusted_proxies", "['127.0.0.1']");
    stage.config.set("listen.proxy_protocol", "true");
    stage.serve();
    let header = |rest: &[u8]| [PROXY_V2, rest].concat();
    let v4 = header(b"\x21\x11\x00\x0c\xc0\x00\x02\x07\x0a\x00\x00\x01\x12\x67\x01\xbb");
    assert_eq!(forwarded_for(&stage, &v4), "192.0.2.7");
    let v6 = header(&[&b"\x21\x21\x00\x24\x20\x01\x0d\xb8"[..], &[0; 11], &[7], &[0; 16], &[0; 4]].concat());
    assert_eq!(forwarded_for(&stage, &v6), "2001:db8::7");
    // LOCAL: the proxy speaks for itself.
    assert_eq!(forwarded_for(&stage, &header(b"\x20\x00\x00\x00")), "127.0.0.1");
}

/// `HAProxy` passes the bytes of TLS on, and says before them whose they are.
#[test]
fn a_proxy_header_comes_before_tls() {
    let mut secure = Secure::prepared();
    secure.stage.config.set("listen.trusted_proxies", "['127.0.0.1']");
    secure.stage.config.set("listen.proxy_protocol", "true");
    secure.stage.serve();
    for version in ["send-proxy", "send-proxy-v2"] {
        let front = free_port();
        let file = secure.stage.config.dir().join("haproxy.cfg");
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 60s\n  timeout client 60s\n  timeout server 60s\n\
             listen site\n  bind 127.0.0.1:{front}\n  server gateway {} {version}\n",
            secure.stage.gateway().address()
        );
        fs::write(&file, text).expect("written");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        let mut haproxy = spawn(&command);
        wait_until("HAProxy listens", || TcpStream::connect(("127.0.0.1", front)).is_ok());
        let (answer, received) = secure.stage.upstream.received_during(|| {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--max-time", "60", "--interface", "127.0.0.2"])
                .args(["--cacert", &secure.authority.file("ca.pem")])
                .args(["--connect-to", &format!("site.test:443:127.0.0.1:{front}")])
                .args(["--write-out", "%{http_code}", "--output", "/dev/null", "https://site.test/page"]);
            quietly(&mut curl)
        });
        assert_eq!(answer, "200", "{version}");
        assert_eq!(received[0].header("x-forwarded-for"), Some("127.0.0.2"), "{version}");
        end(&mut haproxy);
    }
}

#[test]
fn a_proxy_header_of_a_stranger_is_no_request() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set("listen.trusted_proxies", "['10.9.9.9']");
    stage.config.set("listen.proxy_protocol", "true");
    stage.serve();
    let said = stage.send_raw(&[b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n", &get("/")[..]].concat());
    assert_eq!(said.status, 400, "{said:?}");
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
}

/// What no client of good will sends over HTTP/2 is refused, ends the connection, or is harmless; and the gateway serves on.
#[test]
fn frames_of_ill_will_get_nobody_further() {
    let mut secure = Secure::prepared();
    secure.stage.enrol("alice");
    secure.stage.config.set("listen.header_timeout_secs", "5");
    secure.stage.config.set("limits.http2_streams_max", "4");
    secure.stage.serve();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut python = Command::new(tests.join(".work/venv/bin/python"));
    python
        .arg(tests.join("clients/http2_frames.py"))
        .arg(secure.stage.gateway().address().port().to_string());
    let printed = quietly(python.arg(secure.authority.file("ca.pem")));
    let seen: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(seen["a plain request"], "status 200", "{seen:#}");
    let grant = &seen["grant"];
    assert_eq!((&grant["status"], &grant["beside"]), (&"401".into(), &"200".into()), "{seen:#}");
    assert_eq!(grant["tfa"], "required, schemes=totp", "{seen:#}");
    assert!(!grant["body"].as_str().expect("a text").contains("access_token"), "{seen:#}");
    let at_once = &seen["many at once"];
    assert_eq!((&at_once["announced"], &at_once["one more"]), (&4.into(), &"reset 7".into()), "{seen:#}"); // REFUSED_STREAM
    assert_eq!(at_once["others"], serde_json::json!(vec!["nothing"; 4]), "{seen:#}");
    // A goaway says why: one without an error code is "goodbye", as to those who are idle.
    for (what, outcomes) in [
        ("connection-specific field", &["reset", "goaway"][..]),
        ("transfer-encoding", &["reset", "goaway"]),
        ("upper case name", &["reset", "goaway"]),
        ("line break in a value", &["reset", "goaway"]),
        ("no path", &["reset", "goaway", "status 400"]),
        ("two paths", &["reset", "goaway"]),
        ("pseudo field after a field", &["reset", "goaway"]),
        ("body longer than its length", &["reset", "goaway", "status 400"]),
        ("connect", &["status 405", "reset"]),
        ("the endpoint in disguise", &["status 404"]),
        ("two hosts", &["status 400", "reset"]),
        ("data on no stream", &["goaway", "reset"]),
        ("window beyond its bound", &["goaway"]),
        ("a header without an end", &["goaway", "reset", "closed", "status 431"]),
        ("requests that are taken back at once", &["goaway", "closed"]),
        ("garbage", &["goaway", "closed"]),
        ("a preface that is none", &["closed"]),
        ("idle", &["goodbye", "closed"]),
        ("silent", &["closed"]),
        ("stalled", &["goodbye", "goaway", "closed"]),
    ] {
        let outcome = seen[what].as_str().expect("a text");
        assert!(outcomes.iter().any(|expected| outcome.starts_with(expected)), "{what}: {outcome}");
    }
    assert!(quietly(&mut secure.curl("site.test", "/oauth2/token", &GRANT)).contains("access_token"));
}
