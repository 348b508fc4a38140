//! Nothing that the gateway prints, at its most talkative, holds a secret.

use std::fs;

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER, HEXUPPER};

use crate::support::{
    Passcodes, Person, Stage, StoreKind, TokenRequest, assert_token, exchange, get, on_both_stores,
};

/// Everything that must not be found, with the name it is reported by.
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, name: &str, value: &str) {
        assert!(value.len() >= 7, "{name} is too short to be looked for");
        self.0.push((name.to_owned(), value.to_owned()));
        self.0.push((
            format!("{name} in Base64"),
            BASE64.encode(value.as_bytes()).trim_end_matches('=').to_owned(),
        ));
    }

    fn assert_absent(&self, printed: &str, place: &str) {
        for (name, value) in &self.0 {
            if let Some(at) = printed.find(value) {
                let line_start = printed[..at].rfind('\n').map_or(0, |n| n + 1);
                let line = printed[line_start..].lines().next().expect("a line");
                panic!("{name} is in {place}:\n{line}");
            }
        }
    }
}

/// Eight digits: six would be found by chance in the fractions of seconds of a long log.
fn talkative_stage(store: StoreKind) -> (Stage, Person) {
    let mut stage = Stage::prepared(store);
    stage.config.set_text("log.level", "trace");
    stage.config.set("factor.totp.digits", "8");
    let mut alice = stage.enrol("alice");
    alice.passcodes = Passcodes::of(&alice.secret).with("sha1", 8, 30);
    stage.serve();
    (stage, alice)
}

on_both_stores! {
    fn no_secret_is_in_anything_the_gateway_prints(store: StoreKind) {
        let (mut stage, alice) = talkative_stage(store);
        let (code, next_code, wrong_codes) = (alice.code(), alice.next_code(), alice.wrong_codes(9));
        let send = |stage: &Stage, request: TokenRequest| stage.send(&request);

        // All ways through the flow.
        send(&stage, TokenRequest::alice());
        send(&stage, TokenRequest::alice().code(&wrong_codes[0]));
        let login = send(&stage, TokenRequest::alice().code(&code));
        assert_token(&login);
        send(&stage, TokenRequest::alice().code(&code));
        assert_token(&send(&stage, TokenRequest::alice().in_json().code(&next_code)));
        send(&stage, TokenRequest::password("alice", "wr0ng-passw0rd").code(&wrong_codes[1]));
        send(&stage, TokenRequest::alice().without_client()
            .parameter("client_id", "testclient").parameter("client_secret", "testpass"));
        let refresh_token = login.json()["refresh_token"].as_str().expect("a refresh token").to_owned();
        send(&stage, TokenRequest::grant(&[("grant_type", "refresh_token"), ("refresh_token", &refresh_token)]));
        let bearer = login.json()["access_token"].as_str().expect("a token").to_owned();
        stage.send_raw(format!("GET /api HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {bearer}\r\n\r\n").as_bytes());

        // What is refused, in forms that tempt a log to show them.
        send(&stage, TokenRequest::alice().parameter("password", "passw0rd").code(&wrong_codes[2]));
        send(&stage, TokenRequest::alice().query("password=passw0rd"));
        // A password whose `&` was not encoded: the rest of it is a parameter's name.
        send(&stage, TokenRequest::alice().parameter("passw0rd", "").parameter("passw0rd", ""));
        send(&stage, TokenRequest::alice().parameter("passw0rd!", "x").parameter("passw0rd!", "x"));
        send(&stage, TokenRequest::alice().header("X_Drupal_TFA", &wrong_codes[2]));
        stage.send_raw(b"POST /oauth2/token HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n\
            Content-Length: 43\r\n\r\n{\"grant_type\":\"password\",\"password\":\"passw0rd");
        stage.send_raw(get("/oauth2/token?grant_type=password&username=alice&password=passw0rd").as_slice());

        // Locked, and what breaks.
        for code in &wrong_codes[2..] {
            send(&stage, TokenRequest::alice().code(code));
        }
        stage.own_upstream().stop();
        send(&stage, TokenRequest::alice().code(&next_code));
        stage.own_upstream().restart();
        if store == StoreKind::Redis {
            stage.redis().kill();
            send(&stage, TokenRequest::alice().code(&next_code));
        }

        let probes = ["/healthz", "/readyz", "/metrics"].map(|path| {
            exchange(stage.gateway().admin(), &get(path)).map_or_else(String::new, |answer| format!("{answer:?}"))
        });
        let key_file = fs::read_to_string(stage.config.key_file()).expect("the key file");
        let issued = stage.upstream.issued_tokens();
        let printed = stage.stop_gateway();

        let mut secrets = Secrets(Vec::new());
        secrets.add("the password", "passw0rd");
        secrets.add("the client's secret", "testpass");
        secrets.add("the Basic header", "dGVzdGNsaWVudDp0ZXN0cGFzcw");
        for code in wrong_codes.iter().chain([&code, &next_code]) {
            secrets.add("a passcode", code);
        }
        assert!(issued.len() >= 8, "{issued:?}");
        for token in &issued {
            secrets.add("a token", token);
        }
        let secret = BASE32_NOPAD.decode(alice.secret.as_bytes()).expect("Base32");
        secrets.add("the TOTP secret", &alice.secret);
        secrets.add("the TOTP secret in hexadecimal", &HEXLOWER.encode(&secret));
        secrets.add("the TOTP secret in hexadecimal", &HEXUPPER.encode(&secret));
        secrets.add("the TOTP secret in Base64", BASE64.encode(&secret).trim_end_matches('='));
        secrets.add("the TOTP secret as a list", &format!("{secret:?}"));
        let keys: Vec<_> = key_file.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=_-".contains(c))
            .filter(|word| word.len() >= 40).collect();
        assert!(!keys.is_empty(), "no key found in the key file");
        for key in keys {
            secrets.add("a sealing key", key.trim_end_matches('='));
        }

        assert!(printed.len() > 2000, "at trace level it should say more:\n{printed}");
        secrets.assert_absent(&printed, "the gateway's output");
        secrets.assert_absent(&probes.concat(), "the answers of the probes");
    }
}
