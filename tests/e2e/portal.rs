//! The self-service pages: with a real browser, and with requests that no browser makes.

mod sessions;

use std::{fmt::Write as _, path::Path, process::Command};

use crate::support::{
    Challenge, Passcodes, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_token,
    free_port, on_both_stores, quietly,
};

/// A stage whose gateway serves the pages.
fn stage(store: StoreKind) -> (Stage, String) {
    let mut stage = Stage::prepared(store);
    let origin = serve_pages(&mut stage);
    (stage, origin)
}

fn serve_pages(stage: &mut Stage) -> String {
    let origin = format!("http://127.0.0.1:{}", free_port());
    stage.config.set_text("listen.address", origin.trim_start_matches("http://"));
    stage.config.set_text("portal.url", &format!("{origin}/tfa/"));
    stage.config.set_text("portal.client_id", "testclient");
    stage.config.set_text("portal.client_secret_file", "portal.secret");
    std::fs::write(stage.config.dir().join("portal.secret"), "testpass\n").expect("written");
    stage.serve();
    origin
}

/// Somebody's browser, without the browser.
struct Visitor<'a> {
    stage: &'a Stage,
    origin: &'a str,
    cookie: Option<String>,
}

impl<'a> Visitor<'a> {
    fn new(stage: &'a Stage, origin: &'a str) -> Self {
        Self { stage, origin, cookie: None }
    }

    fn get(&self, page: &str) -> Response {
        self.send("GET", page, "", &[])
    }

    fn post(&self, page: &str, form: &[(&str, &str)]) -> Response {
        self.send("POST", page, &encoded(form), &[("Origin", self.origin)])
    }

    fn send(&self, method: &str, page: &str, body: &str, headers: &[(&str, &str)]) -> Response {
        let mut request =
            format!("{method} /tfa/{page} HTTP/1.1\r\nHost: portal.test\r\nConnection: close\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").expect("written");
        }
        if let Some(cookie) = &self.cookie {
            write!(request, "Cookie: tfa_session={cookie}\r\n").expect("written");
        }
        if method == "POST" {
            request += "Content-Type: application/x-www-form-urlencoded\r\n";
        }
        write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("written");
        self.stage.send_raw(request.as_bytes())
    }

    /// Signs in, with a code if one is given, and keeps the cookie.
    fn sign_in(&mut self, user: &str, password: &str, code: &str) -> Response {
        let answer = self.post("sign-in", &[("username", user), ("password", password), ("code", code)]);
        if let Some(cookie) = answer.header("set-cookie") {
            let (secret, rest) =
                cookie.trim_start_matches("tfa_session=").split_once(';').expect("attributes");
            assert_eq!(rest, " Path=/tfa/; HttpOnly; SameSite=Strict");
            self.cookie = Some(secret.to_owned());
        }
        answer
    }

    fn form_token(&self) -> String {
        let page = self.get("").text();
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap_or_else(|| panic!("{page}"));
        rest.split_once('"').expect("a value").0.to_owned()
    }

    /// Adds an app and returns its id and its secret.
    fn add(&self) -> (String, String) {
        let token = self.form_token();
        let answer = self.post("factors", &[("form_token", &token), ("label", "phone")]);
        self.added(&answer)
    }

    fn added(&self, answer: &Response) -> (String, String) {
        assert_eq!(answer.status, 303, "{answer:?}");
        let id = answer.header("location").expect("a target").trim_start_matches("/tfa/factors/").to_owned();
        let page = self.get(&format!("factors/{id}")).text();
        let (_, rest) = page.split_once("<code class=\"secret\">").expect("a secret");
        (id, rest.split_once('<').expect("its end").0.replace(' ', ""))
    }

    fn confirm(&self, id: &str, code: &str) -> Response {
        let token = self.form_token();
        self.post(&format!("factors/{id}/confirm"), &[("form_token", &token), ("code", code)])
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

/// The recovery codes that a page shows.
fn codes_of(answer: &Response) -> Vec<String> {
    assert_status(answer, 200);
    let page = answer.text();
    let codes: Vec<String> = page
        .split("<li><code>")
        .skip(1)
        .map(|rest| rest.split_once('<').expect("its end").0.to_owned())
        .collect();
    assert_eq!(codes.len(), 10, "{page}");
    codes
}

fn assert_status(answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

on_both_stores! {
    fn a_person_sets_up_recovers_and_removes_in_a_browser(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.config.set("devices.remember_days", "30");
        let origin = serve_pages(&mut stage);
        let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots").join(format!("{store:?}"));
        let _ = std::fs::remove_dir_all(&screenshots);
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut browser = Command::new(tests.join(".work/venv/bin/python"));
        browser.arg(tests.join("clients/portal_browser.py"));
        browser.args([format!("{origin}/tfa/"), format!("{origin}/oauth2/token")]);
        browser.arg(&screenshots).arg(tests.join("clients/node_modules/axe-core/axe.min.js"));
        let seen: serde_json::Value = serde_json::from_str(&quietly(&mut browser)).expect("JSON");
        let text = |key: &str| seen[key].as_str().unwrap_or_else(|| panic!("{key}: {seen:#}")).to_owned();

        assert!(text("wrong_password").contains("password is wrong"), "{seen:#}");
        assert!(text("before").contains("You have not set up"), "{seen:#}");
        assert_eq!(seen["secrets_agree"], true, "{seen:#}");
        assert_eq!(seen["before_confirmation"], 200, "{seen:#}");
        assert!(text("wrong_code").contains("The code is wrong"), "{seen:#}");
        assert!(text("confirmed").contains("is set up"), "{seen:#}");
        assert_eq!((&seen["challenged"], &seen["released"]), (&401.into(), &200.into()), "{seen:#}");
        assert_eq!(seen["recovery_codes"], 10, "{seen:#}");
        assert_eq!((&seen["download"], &seen["copied"]), (&true.into(), &true.into()), "{seen:#}");
        assert!(text("signed_out").contains("signed out"), "{seen:#}");
        assert_eq!(seen["after_sign_out"], true, "{seen:#}");
        assert!(text("code_wanted").contains("together with the code"), "{seen:#}");
        assert!(text("after_recovery").contains("Recovery codes left: 9"), "{seen:#}");
        assert_eq!(seen["token_by_recovery_code"], serde_json::json!([200, 401]), "{seen:#}");
        assert_eq!(seen["renamed"], true, "{seen:#}");
        assert!(text("not_removed").contains("The code is wrong"), "{seen:#}");
        assert!(text("removed").contains("was removed"), "{seen:#}");
        assert!(text("after").contains("You have not set up"), "{seen:#}");
        assert_eq!(seen["without_factor"], 200, "{seen:#}");
        assert_eq!(seen["console"], serde_json::json!([]), "{seen:#}");
        assert_eq!(seen["violations"], serde_json::json!({}), "{seen:#}");
        assert_eq!(seen["scrolls_sideways"], serde_json::json!([]), "{seen:#}");
        assert_eq!(seen["looked_at"], 16, "{seen:#}");
        assert_eq!(seen["printed"], true, "{seen:#}");
        // The codes are on the paper, and buttons and the site's head are not.
        assert_eq!(seen["on_paper"], serde_json::json!([true, false, false]), "{seen:#}");
        assert_eq!((&seen["remembered"], &seen["device_is_gone"]), (&200.into(), &true.into()), "{seen:#}");
        assert!(text("forgotten").contains("was forgotten"), "{seen:#}");
        assert_eq!((&seen["replaced"], &seen["by_old_and_new_code"]), (&10.into(), &serde_json::json!([401, 200])), "{seen:#}");
        let kept = std::fs::read_dir(&screenshots).expect("screenshots").flatten();
        let kept = kept.filter(|file| file.metadata().is_ok_and(|file| file.len() > 1000)).count();
        assert!(kept > 2 * 16, "{kept}");

        let trail = stage.config.run(&["audit"]).ok();
        assert!(trail.contains("self:alice\tconfirmed") && trail.contains("self:alice\tremoved"), "{trail}");
    }

    fn the_secret_of_an_app_that_waits_is_shown_where_it_was_made_and_nowhere_else(store: StoreKind) {
        let (stage, origin) = stage(store);
        let (mut thief, mut alice) = (Visitor::new(&stage, &origin), Visitor::new(&stage, &origin));
        assert_status(&thief.sign_in("alice", "passw0rd", ""), 303);
        assert_status(&alice.sign_in("alice", "passw0rd", ""), 303);
        let (id, secret) = alice.add();
        let by_desk = stage.config.run(&["enrol", "alice", "--pending", "--json"]).json();
        let by_desk = (by_desk["factor_id"].as_str().expect("an id"), by_desk["secret"].as_str().expect("a secret"));
        for (visitor, id) in [(&thief, id.as_str()), (&thief, by_desk.0), (&alice, by_desk.0)] {
            let page = visitor.get(&format!("factors/{id}")).text();
            assert!(page.contains("Enter the code") && !page.contains("<svg"), "{page}");
            let shown = page.replace(' ', "");
            assert!(!shown.contains(&secret) && !shown.contains(by_desk.1), "{page}");
        }
        assert!(alice.get(&format!("factors/{id}")).text().contains("<svg"));
        // What the help desk handed over is confirmed here all the same.
        assert_status(&alice.confirm(by_desk.0, &Passcodes::of(by_desk.1).at(stage.clock.now())), 303);
    }

    fn a_further_app_takes_a_fresh_code(store: StoreKind) {
        let (mut stage, _) = stage(store);
        let person = stage.enrol("alice");
        let origin = serve_pages(&mut stage);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_status(&visitor.sign_in("alice", "passw0rd", &person.code()), 303);
        // A recovery code, which has letters, may be typed there, on a phone, too.
        let page = visitor.get("").text();
        let (_, field) = page.split_once("<input id=\"code\"").expect("a field");
        let field = field.split_once('>').expect("its end").0;
        assert!(!field.contains("inputmode") && field.contains("autocapitalize=\"none\""), "{field}");
        assert!(field.contains("spellcheck=\"false\""), "{field}");
        let token = visitor.form_token();
        for code in ["", &person.code(), &person.wrong_code()] {
            let form = [("form_token", token.as_str()), ("label", "x"), ("code", code)];
            assert_status(&visitor.post("factors", &form), 409);
        }
        let form = [("form_token", token.as_str()), ("label", "x"), ("code", &person.next_code())];
        let (id, secret) = visitor.added(&visitor.post("factors", &form));
        assert_status(&visitor.confirm(&id, &Passcodes::of(&secret).at(stage.clock.now())), 303);
    }

    fn what_is_refused_is_told_as_it_is_and_costs_no_code(store: StoreKind) {
        let (mut stage, _) = stage(store);
        let person = stage.enrol("alice");
        let origin = serve_pages(&mut stage);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_status(&visitor.sign_in("alice", "passw0rd", &person.code()), 303);
        let token = visitor.form_token();
        let fresh = person.next_code();
        for label in ["x".repeat(65), "phone\u{202e}".to_owned()] {
            let form = [("form_token", token.as_str()), ("label", &label), ("code", &fresh)];
            let answer = visitor.post("factors", &form);
            assert_status(&answer, 409);
            assert!(answer.text().contains("characters that cannot be seen"), "{answer:?}");
        }
        for (page, code) in [("rename", ""), ("confirm", "123456"), ("remove", &fresh)] {
            let form = [("form_token", token.as_str()), ("label", "x"), ("code", code)];
            let answer = visitor.post(&format!("factors/nowhere/{page}"), &form);
            assert_status(&answer, 404);
            assert!(answer.text().contains("no such authenticator app"), "{answer:?}");
        }
    }

    fn recovery_codes_take_a_fresh_code_except_right_after_a_confirmation(store: StoreKind) {
        let mut stage = Stage::prepared_with_movable_clock(store);
        let origin = serve_pages(&mut stage);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
        let (id, secret) = visitor.add();
        let passcodes = Passcodes::of(&secret);
        assert_status(&visitor.confirm(&id, &passcodes.at(stage.clock.now())), 303);
        stage.clock.advance(61);
        // A session that was taken over gets none, though there are none yet.
        assert!(visitor.get("").text().contains("href=\"/tfa/recovery-codes\""));
        let token = visitor.form_token();
        let make = |code: &str| visitor.post("recovery-codes", &[("form_token", &token), ("code", code)]);
        let asked = make("");
        assert_status(&asked, 422);
        assert!(asked.text().contains("a code that you have not used yet"), "{asked:?}");
        assert_status(&make(&passcodes.wrong(stage.clock.now(), 1)[0]), 422);
        let first = codes_of(&make(&passcodes.at(stage.clock.now())));
        assert_status(&make(&passcodes.at(stage.clock.now())), 422);
        assert_status(&make(""), 422);
        // Replaced with one of them, which is then gone with all others.
        let second = codes_of(&make(&first[0]));
        assert_status(&make(&first[1]), 422);
        assert!(first.iter().all(|code| !second.contains(code)));
        let status = stage.config.run(&["status", "alice", "--json"]).json();
        assert_eq!(status["recovery_codes"], 10, "{status:#}");
        assert_token(&stage.send(&TokenRequest::alice().code(&second[9])));
        assert!(visitor.get("").text().contains("Recovery codes left: 9"));
        // No page shows them again.
        for page in ["", "recovery-codes"] {
            assert!(second.iter().all(|code| !visitor.get(page).text().contains(code.as_str())), "{page}");
        }
    }

    fn recovery_codes_come_with_the_confirmation_of_a_factor(store: StoreKind) {
        let mut stage = Stage::prepared_with_movable_clock(store);
        let origin = serve_pages(&mut stage);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
        let (id, secret) = visitor.add();
        assert_status(&visitor.confirm(&id, &Passcodes::of(&secret).at(stage.clock.now())), 303);
        let token = visitor.form_token();
        assert_eq!(codes_of(&visitor.post("recovery-codes", &[("form_token", &token)])).len(), 10);
        // Once: what is there is not replaced without a code.
        assert_status(&visitor.post("recovery-codes", &[("form_token", &token)]), 422);
        // That is this session's matter alone.
        let mut other = Visitor::new(&stage, &origin);
        let code = Passcodes::of(&secret).steps_after(stage.clock.now(), 1);
        assert_status(&other.sign_in("alice", "passw0rd", &code), 303);
        let token = other.form_token();
        assert_status(&other.post("recovery-codes", &[("form_token", &token)]), 422);
    }

    fn remembered_devices_are_seen_and_forgotten_in_the_pages(store: StoreKind) {
        let mut stage = Stage::prepared_with_movable_clock(store);
        let person = stage.enrol("alice");
        stage.config.set("devices.remember_days", "30");
        let origin = serve_pages(&mut stage);
        let request = TokenRequest::alice().header("X-TFA-Remember", "1").header("User-Agent", "my <cli>/1.0");
        let device = stage.send(&request.code(&person.code()));
        assert_token(&device);
        let device = device.header("x-tfa-device").expect("a device").to_owned();
        stage.clock.advance(60);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_status(&visitor.sign_in("alice", "passw0rd", &person.code()), 303);
        let page = visitor.get("").text();
        assert!(page.contains("Remembered devices") && page.contains("my &#60;cli&#62;/1.0"), "{page}");
        assert!(page.contains("testclient, last used"), "{page}");
        let id = device.split_once('.').expect("an id").0;
        let forget = format!("devices/{id}/forget");
        // Nobody forgets another person's.
        let mut bob = Visitor::new(&stage, &origin);
        assert_status(&bob.sign_in("bob", "hunter22", ""), 303);
        let token = bob.form_token();
        assert_status(&bob.post(&forget, &[("form_token", &token)]), 303);
        assert!(visitor.get("").text().contains(id));
        let token = visitor.form_token();
        let answer = visitor.post(&forget, &[("form_token", &token)]);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/tfa/?done=forgotten")));
        let page = visitor.get("?done=forgotten").text();
        assert!(page.contains("The device was forgotten") && !page.contains(id), "{page}");
        assert_challenge(&stage.send(&TokenRequest::alice().header("X-TFA-Device", &device)), Challenge::CodeWanted);
        let trail = stage.config.run(&["audit"]).ok();
        assert!(trail.contains("self:alice\tdevice_forgotten") && !trail.contains("self:bob"), "{trail}");
    }

    fn of_two_who_confirm_at_once_with_a_password_alone_one_does(store: StoreKind) {
        let (stage, origin) = stage(store);
        let visitors: Vec<Visitor<'_>> = (0..6)
            .map(|_| {
                let mut visitor = Visitor::new(&stage, &origin);
                assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
                visitor
            })
            .collect();
        // Three may wait at once.
        let made: Vec<_> = visitors[..3].iter().map(|visitor| (visitor, visitor.add(), visitor.form_token())).collect();
        let now = stage.clock.now();
        std::thread::scope(|scope| {
            for (visitor, (id, secret), token) in &made {
                let code = Passcodes::of(secret).at(now);
                scope.spawn(move || {
                    let form = [("form_token", token.as_str()), ("code", &code)];
                    visitor.post(&format!("factors/{id}/confirm"), &form)
                });
            }
        });
        let status = stage.config.run(&["status", "alice", "--json"]).json();
        let counting = status["factors"].as_array().expect("factors").iter().filter(|f| f["is_pending"] == false);
        assert_eq!(counting.count(), 1, "{status:#}");
    }

    fn who_is_enrolled_signs_in_with_a_code_whatever_the_rules_and_the_mode(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        let person = stage.enrol("alice");
        stage.config.set("policy", r#"[{ then = "exempt" }]"#);
        stage.config.set_text("enforcement.mode", "audit-only");
        let origin = serve_pages(&mut stage);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_token(&stage.send(&TokenRequest::alice()));
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 401);
        assert_status(&visitor.sign_in("alice", "passw0rd", &person.wrong_code()), 401);
        assert!(visitor.cookie.is_none());
        assert_status(&visitor.sign_in("alice", "passw0rd", &person.code()), 303);
        assert!(visitor.get("").text().contains("Two-factor authentication is on"));
    }

    fn who_must_have_a_factor_can_set_one_up(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.config.set("policy", r#"[{ then = "require" }]"#);
        let origin = serve_pages(&mut stage);
        let mut visitor = Visitor::new(&stage, &origin);
        let told = stage.send(&TokenRequest::alice());
        assert_status(&told, 401);
        let where_to = told.json()["error_description"].as_str().expect("a text").to_owned();
        assert!(where_to.contains(&format!("{origin}/tfa/")), "{where_to}");
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
        let (id, secret) = visitor.add();
        let now = stage.clock.now();
        assert_status(&visitor.confirm(&id, &Passcodes::of(&secret).at(now)), 303);
        assert_token(&stage.send(&TokenRequest::alice().code(&Passcodes::of(&secret).steps_after(now, 1))));
    }

    fn forms_of_others_are_refused_and_change_nothing(store: StoreKind) {
        let (stage, origin) = stage(store);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
        let token = visitor.form_token();
        let form = encoded(&[("form_token", &token), ("label", "x")]);
        for headers in [&[("Origin", "https://evil.example")][..], &[("Origin", "null")], &[]] {
            assert_status(&visitor.send("POST", "factors", &form, headers), 403);
        }
        for token in ["", "wrong", &token[1..]] {
            assert_status(&visitor.post("factors", &[("form_token", token), ("label", "x")]), 403);
        }
        assert_status(&Visitor::new(&stage, &origin).post("factors", &[("form_token", &token)]), 401);
        let status = stage.config.run(&["status", "alice", "--json"]).json();
        assert_eq!(status["factors"].as_array().map(Vec::len), Some(0), "{status:#}");
        // Another person's session takes no form of this one.
        let mut bob = Visitor::new(&stage, &origin);
        assert_status(&bob.sign_in("bob", "hunter22", ""), 303);
        assert_status(&bob.post("factors", &[("form_token", &token)]), 403);
    }
}

#[test]
fn every_page_is_shut_to_whoever_has_no_session_and_to_frames_and_scripts_of_others() {
    let (stage, origin) = stage(StoreKind::Embedded);
    let visitor = Visitor::new(&stage, &origin);
    for (page, status) in [
        ("", 200),
        ("style.css", 200),
        ("script.js", 200),
        ("logo", 404),
        ("factors/abc", 401),
        ("factors/abc/remove", 401),
        ("recovery-codes", 401),
        ("nothing", 401),
    ] {
        let answer = visitor.get(page);
        assert_status(&answer, status);
        let policy = answer.header("content-security-policy").expect("a policy");
        assert_eq!(
            policy,
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{page}");
        }
    }
    assert_eq!(visitor.get("").header("cache-control"), Some("no-store"));
    assert_status(&visitor.send("DELETE", "", "", &[]), 405);
    assert_status(&visitor.post("sign-in", &[("username", "alice"), ("username", "bob")]), 400);
    assert_status(&visitor.post("sign-in", &[("username", &"a".repeat(20_000))]), 413);
    // What is typed is shown as text.
    let page =
        visitor.post("sign-in", &[("username", "<script>alert(1)</script>"), ("password", "x")]).text();
    assert!(!page.contains("<script>alert"), "{page}");
}

#[test]
fn another_language_and_a_picture_can_be_had() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let texts = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/portal/texts.de.toml");
    stage.config.set_text("portal.texts_file", texts.to_str().expect("UTF-8"));
    stage.config.set_text("portal.site_name", "Beispiel & Söhne");
    stage.config.set_text("portal.logo_file", "logo.svg");
    std::fs::write(stage.config.dir().join("logo.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .expect("written");
    let origin = serve_pages(&mut stage);
    let visitor = Visitor::new(&stage, &origin);
    let page = visitor.get("").text();
    assert!(page.contains("<html lang=\"de\">") && page.contains("Anmelden"), "{page}");
    assert!(page.contains("Beispiel &#38; Söhne") || page.contains("Beispiel &amp; Söhne"), "{page}");
    assert_eq!(visitor.get("logo").header("content-type"), Some("image/svg+xml"));
    // What stands in the place of a page as well.
    let foreign = visitor.send("POST", "sign-in", "", &[("Origin", "https://evil.example")]);
    let large = visitor.post("sign-in", &[("username", &"a".repeat(20_000))]);
    let twice = visitor.post("sign-in", &[("username", "a"), ("username", "b")]);
    let method = visitor.send("DELETE", "", "", &[]);
    for (answer, status, said) in [
        (foreign, 403, "kommt nicht von dieser Website"),
        (large, 413, "Das Formular ist zu groß"),
        (twice, 400, "Das Formular ist nicht lesbar"),
        (method, 405, "Nur GET, HEAD und POST"),
        (visitor.get("none/none"), 401, "Bitte melden Sie sich an"),
    ] {
        assert_status(&answer, status);
        assert!(answer.text().contains(said), "{said}: {answer:?}");
    }
}

#[test]
fn the_pages_are_off_until_configured() {
    let stage = Stage::serving(StoreKind::Embedded);
    let (_, received) = stage.upstream.received_during(|| stage.send_raw(&crate::support::get("/tfa/")));
    assert_eq!(received.len(), 1, "it went to the site");
}

#[test]
fn the_token_of_a_sign_in_is_given_to_nobody_and_revoked() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set_text("revocation.style", "rfc7009");
    let origin = serve_pages(&mut stage);
    let mut visitor = Visitor::new(&stage, &origin);
    let answer = visitor.sign_in("alice", "passw0rd", "");
    assert_status(&answer, 303);
    crate::revocation::until_counted(&stage, "revoked", 1);
    assert!(stage.upstream.issued_tokens().is_empty());
}

/// Whoever is at another site of the same server is somebody else, though the name may be the same.
#[test]
fn the_site_that_a_password_is_checked_for_is_not_the_visitors_to_choose() {
    let (stage, origin) = stage(StoreKind::Embedded);
    let visitor = Visitor::new(&stage, &origin);
    let form = [("username", "alice"), ("password", "passw0rd")];
    let (_, received) = stage.upstream.received_during(|| visitor.post("sign-in", &form));
    let said = format!("{received:?}");
    assert!(said.contains(origin.trim_start_matches("http://")) && !said.contains("portal.test"), "{said}");
}
