//! A new configuration without a restart: by itself, by SIGHUP, as Kubernetes swaps it, and refused whole.

use std::{fs, os::unix::fs::symlink, process::Command};

use rustix::process::Signal;

use crate::{
    support::{Stage, StoreKind, TokenRequest, assert_token, exchange, get, quietly, site::wait_until},
    tls::Authority,
};

fn challenge(stage: &Stage) -> String {
    stage.send(&TokenRequest::alice()).text()
}

fn metrics(stage: &Stage) -> String {
    exchange(stage.gateway().admin(), &get("/metrics")).expect("an answer").text()
}

fn says_hello(stage: &Stage) -> bool {
    challenge(stage).contains("Hello, your code")
}

/// With alice enrolled, and a text of its own in the configuration from now on.
fn stage() -> Stage {
    let (mut stage, _) = Stage::with_alice(StoreKind::Embedded);
    assert!(challenge(&stage).contains("Two-factor authentication is required"));
    stage.config.set_text("messages.required", "Hello, your code");
    stage
}

#[test]
fn a_file_that_changed_is_taken_over_by_itself() {
    let stage = stage();
    stage.config.write();
    wait_until("the new text", || says_hello(&stage));
    assert!(metrics(&stage).contains("tfa_gateway_config_is_current 1\n"));
    assert!(metrics(&stage).contains("tfa_gateway_config_reloads_total{result=\"taken_over\"} 1\n"));
}

#[test]
fn sighup_reads_it_anew_and_a_bad_one_is_refused_with_every_fault() {
    let mut stage = stage();
    stage.config.set("lockout.failures_max", "0");
    stage.config.set("nonsense.key", "1");
    stage.config.write();
    stage.gateway().signal(Signal::HUP);
    let refused = "tfa_gateway_config_reloads_total{result=\"refused\"} 1\n";
    wait_until("it is refused", || metrics(&stage).contains(refused));
    assert!(metrics(&stage).contains("tfa_gateway_config_is_current 0\n"));
    assert!(!says_hello(&stage));
    let log = stage.gateway().output();
    for fault in ["lockout.failures_max: must be a whole number", "nonsense: is not a setting"] {
        assert!(log.contains(fault), "{fault} is not in {log}");
    }
    stage.config.unset("lockout.failures_max");
    stage.config.unset("nonsense.key");
    stage.config.write();
    stage.gateway().signal(Signal::HUP);
    wait_until("it is taken over", || says_hello(&stage));
    wait_until("it is current", || metrics(&stage).contains("tfa_gateway_config_is_current 1\n"));
}

/// Or else nobody would notice before the next restart, which would fail.
#[test]
fn a_new_configuration_is_refused_while_the_key_file_cannot_be_read() {
    let stage = stage();
    let (key_file, away) = (stage.config.key_file(), stage.config.dir().join("away"));
    fs::rename(&key_file, &away).expect("moved");
    stage.config.write();
    let refused = "tfa_gateway_config_reloads_total{result=\"refused\"} 1\n";
    wait_until("it is refused", || metrics(&stage).contains(refused));
    assert!(!says_hello(&stage));
    let log = stage.gateway().output();
    assert!(log.contains("the key file cannot be read, so that the configuration is refused"), "{log}");
    fs::rename(&away, &key_file).expect("moved back");
    stage.gateway().signal(Signal::HUP);
    wait_until("it is taken over", || says_hello(&stage));
}

#[test]
fn what_takes_a_restart_is_named_and_stays() {
    let mut stage = stage();
    stage.config.set_text("store.url", "embedded:hunter22.db");
    stage.config.set("listen.threads", "7");
    stage.config.write();
    wait_until("the rest is taken over", || says_hello(&stage));
    // Alice is enrolled in the store from before.
    let log = stage.stop_gateway();
    assert!(log.contains("listen.threads, store.url"), "{log}");
    assert!(!log.contains("hunter22"), "{log}");
}

#[test]
fn a_key_file_that_is_made_before_the_restart_holds_up_no_reload() {
    let mut stage = stage();
    stage.config.set_text("sealing.key_file", "not-there-yet.keys");
    stage.config.write();
    wait_until("the rest is taken over", || says_hello(&stage));
    let log = stage.stop_gateway();
    assert!(log.contains("these settings change with a restart only"), "{log}");
    assert!(log.contains("sealing.key_file"), "{log}");
}

/// A `ConfigMap` is a directory behind a symbolic link, behind which another one is put.
#[test]
fn a_swapped_directory_of_kubernetes_is_noticed() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("alice");
    let dir = stage.config.dir().to_owned();
    fs::create_dir(dir.join("..one")).expect("made");
    symlink("..one", dir.join("..data")).expect("linked");
    fs::rename(dir.join("gateway.toml"), dir.join("..one/gateway.toml")).expect("moved");
    symlink("..data/gateway.toml", dir.join("gateway.toml")).expect("linked");
    stage.serve();
    assert!(!says_hello(&stage));
    fs::create_dir(dir.join("..two")).expect("made");
    let text = fs::read_to_string(dir.join("..one/gateway.toml")).expect("read");
    fs::write(dir.join("..two/gateway.toml"), text + "messages.required = 'Hello, your code'\n")
        .expect("written");
    symlink("..two", dir.join("..next")).expect("linked");
    fs::rename(dir.join("..next"), dir.join("..data")).expect("swapped");
    wait_until("the new text", || says_hello(&stage));
}

#[test]
fn a_renewed_certificate_is_shown_and_one_that_does_not_fit_is_refused() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let authority = Authority::new(stage.config.dir());
    let (certificate, key) = authority.certify_as("site", "/CN=first", "DNS:site.test");
    stage.config.set_text("listen.certificate_file", certificate.to_str().expect("UTF-8"));
    stage.config.set_text("listen.key_file", key.to_str().expect("UTF-8"));
    stage.serve();
    let address = stage.gateway().address().to_string();
    let shown = || {
        let mut openssl = Command::new("openssl");
        quietly(openssl.args(["s_client", "-connect", &address]).stdin(std::process::Stdio::null()))
    };
    assert!(shown().contains("CN = first"));
    authority.certify_as("site", "/CN=second", "DNS:site.test");
    wait_until("the new certificate", || shown().contains("CN = second"));
    let (_, other_key) = authority.certify_as("third", "/CN=third", "DNS:site.test");
    fs::copy(other_key, &key).expect("copied");
    wait_until("it is refused", || metrics(&stage).contains("tfa_gateway_config_is_current 0\n"));
    assert!(shown().contains("CN = second"));
}

#[test]
fn what_was_refused_for_a_file_is_mended_by_the_file() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.serve();
    let certificate = stage.config.dir().join("site.pem");
    let key = stage.config.dir().join("site.key");
    for (name, file) in [("listen.certificate_file", &certificate), ("listen.key_file", &key)] {
        stage.config.set_text(name, file.to_str().expect("UTF-8"));
    }
    stage.config.write();
    wait_until("it is refused", || metrics(&stage).contains("tfa_gateway_config_is_current 0\n"));
    let authority = Authority::new(stage.config.dir());
    let (made, made_key) = authority.certify_as("made", "/CN=made", "DNS:site.test");
    fs::rename(made_key, key).expect("moved");
    fs::rename(made, certificate).expect("moved");
    wait_until("it is taken over", || metrics(&stage).contains("tfa_gateway_config_is_current 1\n"));
}

#[test]
fn who_may_administer_changes_without_a_restart() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.serve();
    let ask = |stage: &Stage, token: &str| {
        let request = format!(
            "GET /api/v1/subjects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        exchange(stage.gateway().admin(), request.as_bytes()).expect("an answer").status
    };
    assert_eq!(ask(&stage, "x"), 404);
    let token = crate::api::make_tokens(&mut stage, &[("desk", "[\"read\"]")]).remove(0);
    stage.config.write();
    wait_until("the token counts", || ask(&stage, &token) == 200);
    stage.config.unset("admin.tokens");
    stage.config.write();
    wait_until("there is no API any more", || ask(&stage, &token) == 404);
}

/// What was begun under one configuration is finished under it, and nobody is turned away meanwhile.
#[test]
fn no_request_is_lost_while_it_is_reloaded() {
    let (mut stage, _) = Stage::with_alice(StoreKind::Embedded);
    for round in 0..5 {
        stage.config.set_text("messages.required", &format!("Round {round}"));
        stage.config.write();
        stage.gateway().signal(Signal::HUP);
        wait_until("the new text", || {
            assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
            challenge(&stage).contains(&format!("Round {round}"))
        });
    }
}
