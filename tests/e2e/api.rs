//! The administration API as its clients meet it: every route, every refusal, names, pages, races, outages.

mod access;
mod document;
mod outages;
mod tls;

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::{Shutdown, SocketAddr, TcpStream},
};

use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

use crate::support::{
    Challenge, Passcodes, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_token, exchange,
    in_parallel, on_both_stores,
};

/// A gateway, and a token of its API that may do everything.
struct Desk {
    stage: Stage,
    token: String,
}

impl Desk {
    fn on(store: StoreKind) -> Self {
        Self::with(Stage::prepared(store))
    }

    fn with(mut stage: Stage) -> Self {
        let token = make_tokens(&mut stage, &[("desk", "[\"read\", \"write\"]")]).remove(0);
        stage.config.set("devices.remember_days", "30");
        stage.serve();
        Self { stage, token }
    }

    fn address(&self) -> SocketAddr {
        self.stage.gateway().admin()
    }

    fn request(&self, method: &str, path: &str, body: Option<Value>) -> Vec<u8> {
        let authorization = format!("Authorization: Bearer {}\r\n", self.token);
        request(method, path, &authorization, body)
    }

    fn call(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        let answer = exchange(self.address(), &self.request(method, path, body)).expect("an answer");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        answer
    }

    /// A call that goes well.
    fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.call(method, path, body);
        assert!(matches!(answer.status, 200 | 201), "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        answer.json()
    }

    /// A call that does not; returns what is said of it.
    fn refused(&self, method: &str, path: &str, body: Option<Value>, status: u16) -> String {
        problem(&self.call(method, path, body), status)
    }

    /// All pages of a list, by the name of its members and of its cursor.
    fn pages(&self, path: &str, members: &str, cursor: &str) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut place = String::new();
        loop {
            let mut page = self.ok("GET", &format!("{path}{place}"), None);
            let Value::Array(items) = page[members].take() else { panic!("no list: {page}") };
            pages.push(items);
            match page[format!("next_{cursor}")].as_str() {
                Some(next) => place = format!("&{cursor}={next}"),
                None => return pages,
            }
        }
    }
}

/// Makes tokens with the command line, and configures them.
pub(crate) fn make_tokens(stage: &mut Stage, tokens: &[(&str, &str)]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut made = Vec::new();
    for (name, may) in tokens {
        let token = stage.config.run(&["api-token", name, "--json"]).json();
        let digest = token["sha256"].as_str().expect("a digest");
        lines.push(format!("{{ name = \"{name}\", sha256 = \"{digest}\", may = {may} }}"));
        made.push(token["token"].as_str().expect("a token").to_owned());
    }
    stage.config.set("admin.tokens", &format!("[{}]", lines.join(", ")));
    made
}

fn request(method: &str, path: &str, headers: &str, body: Option<Value>) -> Vec<u8> {
    let body = body.map_or_else(String::new, |body| body.to_string());
    let described = match body.len() {
        0 => String::new(),
        length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
    };
    format!("{method} /api/v1{path} HTTP/1.1\r\nHost: gateway.test\r\n{headers}{described}\r\n{body}")
        .into_bytes()
}

/// Asserts that an answer tells a problem as RFC 9457 has it, and returns the detail.
fn problem(answer: &Response, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["status"], status, "{body}");
    assert!(
        body["type"].as_str().expect("a type").starts_with("/api/v1/openapi.json#/components/responses/")
    );
    body["detail"].as_str().expect("a detail").to_owned()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

on_both_stores! {
    fn every_route_does_what_it_says(store: StoreKind) {
        let desk = Desk::on(store);
        let now = desk.stage.clock.now();

        // A factor that waits, and is confirmed.
        let made = desk.ok("POST", "/subjects/alice/factors", Some(json!({ "label": " phone ", "pending": true })));
        let (id, secret) = (text(&made, "factor_id"), text(&made, "secret"));
        assert_eq!((&made["is_pending"], &made["factors"]), (&true.into(), &Value::Null));
        assert!(text(&made, "otpauth_uri").starts_with("otpauth://totp/"));
        assert_token(&desk.stage.send(&TokenRequest::alice()));
        let factor = format!("/subjects/alice/factors/{id}");
        let codes = Passcodes::of(secret);
        let wrong = json!({ "code": codes.wrong(now, 1)[0] });
        assert!(desk.refused("POST", &format!("{factor}/confirm"), Some(wrong), 422).contains("does not fit"));
        let label = json!({ "label": "x" });
        assert!(desk.refused("PATCH", &factor, Some(label.clone()), 409).contains("confirm it first"));
        desk.refused("PATCH", "/subjects/alice/factors/nowhere", Some(label), 404);
        let confirmed = desk.ok("POST", &format!("{factor}/confirm"), Some(json!({ "code": codes.at(now) })));
        assert_eq!(confirmed, json!({ "subject": "alice", "factor_id": id, "factors": 1 }));
        assert_challenge(&desk.stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        assert_token(&desk.stage.send(&TokenRequest::alice().code(&codes.steps_after(now, 1))));

        // Shown, renamed, beside another one that was taken over.
        let renamed = desk.ok("PATCH", &factor, Some(json!({ "label": "tablet " })));
        assert_eq!(renamed, json!({ "subject": "alice", "factor_id": id, "label": "tablet" }));
        assert_eq!(desk.ok("PATCH", &factor, Some(json!({ "label": null })))["label"], Value::Null);
        let old = BASE32_NOPAD.encode(b"12345678901234567890");
        let taken = desk.ok("POST", "/subjects/alice/factors", Some(json!({ "secret": old })));
        assert_eq!((text(&taken, "secret"), &taken["factors"]), (old.as_str(), &2.into()));
        let status = desk.ok("GET", "/subjects/alice", None);
        assert_eq!(status, desk.stage.config.run(&["status", "alice", "--json"]).json());
        assert_eq!((&status["enrolled"], status["factors"].as_array().map(Vec::len)), (&true.into(), Some(2)));

        // Recovery codes, locks, removal.
        let codes = desk.ok("POST", "/subjects/alice/recovery-codes", None);
        assert_eq!(codes["recovery_codes"].as_array().map(Vec::len), Some(10));
        let code = codes["recovery_codes"][0].as_str().expect("a code");
        assert_token(&desk.stage.send(&TokenRequest::alice().code(code)));

        // A remembered device.
        let none = json!({ "subject": "alice", "devices": [] });
        assert_eq!(desk.ok("GET", "/subjects/alice/devices", None), none);
        let code = codes["recovery_codes"][1].as_str().expect("a code");
        let remembered = desk.stage.send(&TokenRequest::alice().code(code).header("X-TFA-Remember", "1"));
        let (device, _) = remembered.header("x-tfa-device").and_then(|t| t.split_once('.')).expect("a device");
        assert_eq!(desk.ok("GET", "/subjects/alice/devices", None)["devices"][0]["id"], device);
        let path = format!("/subjects/alice/devices/{device}");
        assert_eq!(desk.ok("DELETE", &path, None), json!({ "subject": "alice", "devices_forgotten": 1 }));
        desk.refused("DELETE", &path, None, 404);
        assert_eq!(desk.ok("DELETE", "/subjects/alice/devices", None)["devices_forgotten"], 0);
        desk.stage.send(&TokenRequest::alice().code("000000"));
        let unlocked = json!({ "subject": "alice", "unlocked": true });
        assert_eq!(desk.ok("POST", "/subjects/alice/unlock", None), unlocked);
        assert_eq!(desk.ok("POST", "/subjects/alice/unlock", None)["unlocked"], false);
        assert_eq!(desk.ok("DELETE", &factor, None), json!({ "subject": "alice", "factor_id": id, "factors": 1 }));
        desk.refused("DELETE", &factor, None, 404);

        // What a reset removed.
        desk.ok("POST", "/subjects/alice/factors", Some(json!({ "pending": true })));
        desk.stage.send(&TokenRequest::alice().code("000000"));
        let reset = json!({
            "subject": "alice", "factors_removed": 1, "pending_factors_removed": 1, "recovery_codes_removed": 8,
            "unlocked": true,
        });
        assert_eq!(desk.ok("POST", "/subjects/alice/reset", None), reset);
        assert_token(&desk.stage.send(&TokenRequest::alice()));
        desk.ok("POST", "/subjects/bob/factors", None);
        let disabled = json!({ "subject": "bob", "factors_removed": 1 });
        assert_eq!(desk.ok("DELETE", "/subjects/bob/factors", None), disabled);

        // Another name.
        let alias = json!({ "alias": "alice@example.org", "subject": "alice" });
        let nobody = desk.refused("PUT", "/aliases/Alice%40Example.org", Some(json!({ "subject": "ALICE" })), 409);
        assert!(nobody.contains("alice has no factor") && nobody.contains("not_enrolled"), "{nobody}");
        let meant = json!({ "subject": "ALICE", "not_enrolled": true });
        assert_eq!(desk.ok("PUT", "/aliases/Alice%40Example.org", Some(meant)), alias);
        let found = desk.ok("GET", "/subjects?search=EXAMPLE", None);
        assert_eq!(found["subjects"][0]["alias_of"], "alice");
        assert_eq!(found["subjects"][0]["enrolled"], false);
        assert_eq!(desk.ok("GET", "/subjects/alice@example.org", None)["alias_of"], "alice");
        assert!(desk.refused("POST", "/subjects/alice@example.org/factors", None, 409).contains("is an alias"));
        assert!(desk.refused("POST", "/subjects/alice@example.org/reset", None, 409).contains("is an alias"));
        assert_eq!(desk.ok("DELETE", "/aliases/alice%40example.org", None)["removed"], true);
        desk.refused("DELETE", "/aliases/alice%40example.org", None, 404);

        // All of that is recorded, as the command line shows it.
        let events = desk.pages("/audit?limit=4", "events", "before").concat();
        let changes: Vec<&str> = events.iter().rev().map(|event| text(event, "change")).collect();
        assert_eq!(changes, [
            "proposed", "confirmed", "renamed", "renamed", "enrolled", "recovery_codes_replaced", "device_forgotten", "unlocked", "unlocked",
            "removed", "proposed", "unlocked", "disabled", "enrolled", "disabled", "alias_added", "alias_removed",
        ]);
        assert!(events.iter().all(|event| event["actor"] == "api:desk"), "{events:?}");
        let printed = desk.stage.config.run(&["audit", "--json"]).ok();
        let printed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(printed, events);
        assert_eq!(desk.ok("GET", "/audit?subject=BOB", None)["events"].as_array().map(Vec::len), Some(2));
    }

    fn names_are_percent_encoded_and_folded(store: StoreKind) {
        let desk = Desk::on(store);
        let made = desk.call("POST", "/subjects/Mar%C3%BC%2F%20%3Fx/factors", None);
        assert_eq!(text(&made.json(), "subject"), "maru/ ?x");
        let location = made.header("location").expect("a place").to_owned();
        assert!(location.starts_with("/api/v1/subjects/maru%2F%20%3Fx/factors/"), "{location}");
        desk.ok("PATCH", location.strip_prefix("/api/v1").expect("ours"), Some(json!({ "label": "x" })));
        assert_eq!(desk.ok("GET", "/subjects/mary%2F%20%3FX", None)["factors"][0]["label"], "x");
        for (name, rule) in [
            ("%00", "must not contain control characters"),
            ("%F0%9F%98%80", "must not contain characters above U+FFFF"),
            ("%20", "must not be empty"),
            ("%FF", "must be percent-encoded UTF-8"),
        ] {
            let said = desk.refused("GET", &format!("/subjects/{name}"), None, 422);
            assert!(said.contains(rule), "{name}: {said}");
        }
    }

    fn all_of_250_subjects_are_on_some_page(store: StoreKind) {
        let desk = Desk::on(store);
        let names: Vec<String> = (0..250).map(|n| format!("person{n:03}")).collect();
        for names in names.chunks(25) {
            let requests: Vec<_> = names
                .iter()
                .map(|name| (desk.address(), desk.request("POST", &format!("/subjects/{name}/factors"), None)))
                .collect();
            assert!(in_parallel(&requests).iter().all(|answer| answer.status == 201));
        }
        let pages = desk.pages("/subjects?limit=40", "subjects", "cursor");
        assert!(pages.len() > 4, "{}", pages.len());
        let found: BTreeSet<&str> = pages.iter().flatten().map(|name| text(name, "subject")).collect();
        assert_eq!(found, names.iter().map(String::as_str).collect());
        let some = desk.pages("/subjects?limit=3&search=SON12", "subjects", "cursor").concat();
        assert_eq!(some.iter().map(|name| text(name, "subject")).collect::<BTreeSet<_>>().len(), 10);
        let events = desk.pages("/audit?limit=99", "events", "before");
        assert_eq!(events.iter().map(Vec::len).collect::<Vec<_>>(), [99, 99, 52]);
    }

    fn edits_at_the_same_time_lose_nothing(store: StoreKind) {
        let desk = Desk::on(store);
        let requests: Vec<_> =
            (0..8).map(|_| (desk.address(), desk.request("POST", "/subjects/alice/factors", None))).collect();
        let answers = in_parallel(&requests);
        let made: BTreeSet<String> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .map(|answer| text(&answer.json(), "factor_id").to_owned())
            .collect();
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert!(problem(answer, 409).contains("at most 5 factors"), "{answer:?}");
        }
        let status = desk.ok("GET", "/subjects/alice", None);
        let kept = status["factors"].as_array().expect("factors").iter().map(|factor| text(factor, "id").to_owned());
        assert_eq!((made.len(), &made), (5, &kept.collect()));

        // Four names at once, while the fifth factor goes.
        let mut ids = made.into_iter();
        let gone = ids.next().expect("an id");
        let mut requests: Vec<_> = ids
            .map(|id| {
                let label = json!({ "label": id });
                (desk.address(), desk.request("PATCH", &format!("/subjects/alice/factors/{id}"), Some(label)))
            })
            .collect();
        requests.push((desk.address(), desk.request("DELETE", &format!("/subjects/alice/factors/{gone}"), None)));
        assert!(in_parallel(&requests).iter().all(|answer| answer.status == 200));
        let status = desk.ok("GET", "/subjects/alice", None);
        let factors = status["factors"].as_array().expect("factors");
        assert_eq!(factors.len(), 4);
        assert!(factors.iter().all(|factor| factor["id"] == factor["label"]), "{status}");
        assert_eq!(desk.ok("GET", "/audit", None)["events"].as_array().map(Vec::len), Some(10));
    }

    fn what_was_begun_is_recorded_although_the_gateway_is_stopped(store: StoreKind) {
        let mut desk = Desk::on(store);
        for n in 0..60 {
            let mut client = TcpStream::connect(desk.address()).expect("a connection");
            client.write_all(&desk.request("POST", &format!("/subjects/p{n}/factors"), None)).expect("sent");
            let _ = client.shutdown(Shutdown::Both);
        }
        desk.stage.stop_gateway();
        let names = |command: &[&str]| -> BTreeSet<String> {
            let printed = desk.stage.config.run(command).ok();
            let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["subject"].to_string();
            printed.lines().map(line).collect()
        };
        assert_eq!(names(&["list", "--json"]), names(&["audit", "--limit", "1000", "--json"]));
    }

    fn no_secret_is_shown_twice_or_logged(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.config.set_text("log.level", "trace");
        stage.config.set("factor.totp.digits", "8");
        let mut desk = Desk::with(stage);
        let mut secrets = vec![desk.token.clone(), "tfagw_a-wrong-token-that-nobody-has-ever-seen-0".to_owned()];
        let old = BASE32_NOPAD.encode(b"09876543210987654321");
        let made = desk.ok("POST", "/subjects/alice/factors", Some(json!({ "secret": old, "pending": true })));
        let taken = desk.ok("POST", "/subjects/alice/factors", None);
        let codes = Passcodes::of(&old).with("sha1", 8, 30);
        let now = desk.stage.clock.now();
        let (code, wrong) = (codes.at(now), codes.wrong(now, 1).remove(0));
        let confirm = format!("/subjects/alice/factors/{}/confirm", text(&made, "factor_id"));
        desk.refused("POST", &confirm, Some(json!({ "code": wrong })), 422);
        desk.ok("POST", &confirm, Some(json!({ "code": code })));
        let recovery = desk.ok("POST", "/subjects/alice/recovery-codes", None);
        secrets.extend([old, text(&taken, "secret").to_owned(), code, wrong]);
        let shown = recovery["recovery_codes"].as_array().expect("codes").iter();
        secrets.extend(shown.map(|code| code.as_str().expect("a text").to_owned()));
        desk.refused("POST", "/subjects/alice/factors", Some(json!({ "secret": "hunter22hunter22!" })), 422);
        desk.refused("POST", "/subjects/alice/factors", Some(json!({ "pending": "hunter22hunter22" })), 400);
        secrets.push("hunter22".to_owned());
        let authorization = format!("Authorization: Bearer {}\r\n", secrets[1]);
        exchange(desk.address(), &request("GET", "/subjects", &authorization, None)).expect("an answer");

        let again = ["/subjects/alice", "/subjects", "/audit"]
            .map(|path| desk.call("GET", path, None).text())
            .concat();
        let printed = desk.stage.stop_gateway();
        assert!(printed.contains("it is not known who calls"), "{printed}");
        for secret in &secrets {
            for (place, text) in [("the log", &printed), ("a later answer", &again)] {
                let line = text.lines().find(|line| line.contains(secret.as_str()));
                assert!(line.is_none(), "{secret} is in {place}: {line:?}");
            }
        }
    }
}

#[test]
fn what_is_not_understood_is_refused_and_named() {
    let desk = Desk::on(StoreKind::Embedded);
    let path = "/subjects/alice/factors";
    for (body, rule) in [
        (json!({ "lable": "x" }), "unknown member 'lable'"),
        (json!({ "pending": 1 }), "'pending' is of the wrong type"),
        (json!([true]), "must be a JSON object"),
    ] {
        let said = desk.refused("POST", path, Some(body), 400);
        assert!(said.contains(rule), "{said}");
    }
    for (label, rule) in [("x".repeat(65), "at most 64 bytes"), ("a\tb".to_owned(), "visible")] {
        assert!(desk.refused("POST", path, Some(json!({ "label": label })), 409).contains(rule));
    }
    assert!(desk.refused("POST", path, Some(json!({ "secret": "AAAA" })), 409).contains("16 to 128 bytes"));
    desk.refused("POST", "/subjects/alice/recovery-codes", None, 409);
    desk.refused("POST", "/subjects/alice/unlock", Some(json!({ "x": 1 })), 400);
    assert!(desk.refused("GET", "/subjects?page=2", None, 400).contains("no parameter \"page\""));
    for nowhere in ["", "/", "/subjects/", "/factors", "/subjects/alice/factors/x/y"] {
        desk.refused("GET", nowhere, None, 404);
    }
    for factor in ["none", "NO%20ID"] {
        desk.refused(
            "PATCH",
            &format!("/subjects/alice/factors/{factor}"),
            Some(json!({ "label": "x" })),
            404,
        );
    }
    let wrong = desk.call("PUT", "/subjects/alice/factors", None);
    problem(&wrong, 405);
    assert_eq!(wrong.header("allow"), Some("POST, DELETE"));

    let send = |headers: &str, body: &str| {
        let head =
            format!("Authorization: Bearer {}\r\nContent-Length: {}\r\n{headers}", desk.token, body.len());
        let mut bytes = request("POST", path, &head, None);
        bytes.extend(body.as_bytes());
        exchange(desk.address(), &bytes).expect("an answer")
    };
    problem(&send("", "{}"), 415);
    problem(&send("Content-Type: application/x-www-form-urlencoded\r\n", "label=x"), 415);
    problem(&send("Content-Type: application/json\r\n", "{\"label\": \"a\", \"label\": \"b\"}"), 400);
    let large = format!("{{\"label\": \"{}\"}}", "x".repeat(64 * 1024));
    problem(&send("Content-Type: application/json\r\n", &large), 413);
    assert_eq!(send("Content-Type: application/json; charset=utf-8\r\n", "{}").status, 201);
}
