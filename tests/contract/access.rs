//! The users that `docs/redis.md` names may do all that is needed, and TLS goes to every server of a site.

use std::{fs, path::Path, process::Command};

use tfa_gateway::{
    factor::PresentedRecoveryCode,
    policy::{
        device::{Device, DeviceVerdict},
        lockout::Settlement,
        throttle::{Passage, Throttle},
    },
    step_up::{
        Actor, AuditTrail as _, ChangeKind, DeviceStore as _, EnrolmentRegistry as _, EnrolmentStore as _,
        ListQuery, Session, SessionStore as _, TokenThrottle as _, TrailEvent, TrailQuery,
    },
    store::{RedisSettings, RedisTls},
    types::{FactorId, Secret, UnixTime},
};

use crate::{
    stand::{Stand, StoreKind, accepted, new_factor, subject},
    support::{
        Clock, quietly,
        site::{Particulars, RedisSite, Topology},
    },
};

/// The words of a documented command that makes a user.
fn documented(beginning: &str) -> Vec<&'static str> {
    let documented = include_str!("../../docs/redis.md");
    let line = documented.lines().find(|line| line.trim().starts_with(beginning)).expect("the ACL");
    line.split_whitespace().collect()
}

/// A stand where the gateway is the documented user, and nobody is without a name at the Sentinel.
pub(crate) fn as_documented(kind: StoreKind) -> Stand {
    let mut stand = Stand::new(kind);
    for said in stand.site().everywhere(&documented("ACL SETUSER tfa-gateway on >PASSWORD resetkeys ~tfa:*"))
    {
        assert_eq!(said, "OK");
    }
    stand.site().log_in_as("tfa-gateway", "PASSWORD");
    if let Some(sentinel) = &stand.site().sentinel {
        let user = documented("ACL SETUSER tfa-gateway on >SENTINEL-PASSWORD");
        assert_eq!(sentinel.cli(&user), "OK");
        assert_eq!(sentinel.cli(&["ACL", "SETUSER", "default", "off"]), "OK");
        stand.redis_settings =
            |_, settings| settings.with_sentinel_credentials(Some("tfa-gateway"), Some(&sentinel_password()));
    }
    stand
}

fn sentinel_password() -> Secret<String> {
    Secret::new("SENTINEL-PASSWORD".to_owned())
}

#[test]
fn the_acl_user_of_the_documents_may_do_all_that_is_needed() {
    for kind in [StoreKind::Redis, StoreKind::Sentinel, StoreKind::Cluster] {
        may_do_all_that_is_needed(&as_documented(kind));
    }
}

fn may_do_all_that_is_needed(stand: &Stand) {
    let totp = stand.enrol_alice();
    assert_eq!(stand.alice_presents("wrong"), Settlement::Wrong);
    assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), accepted("f1"));
    stand.run(async |store| {
        store.ping().await.expect("a ping");
        store.status(&subject("alice")).await.expect("a status");
        store.unlock(&subject("alice")).await.expect("unlocked");
        store.add_alias(&subject("alice@example.org"), &subject("alice")).await.expect("an alias");
        assert!(store.remove_alias(&subject("alice@example.org")).await.expect("removed"));
        store.list(&ListQuery { limit: 10, ..ListQuery::default() }).await.expect("a page");
        let waiting = store.propose(&subject("bob"), new_factor(None, totp.clone())).await.expect("proposed");
        store.pending(&subject("bob"), &waiting, stand.now()).await.expect("it waits");
        let codes = [PresentedRecoveryCode::parse(b"abcd-efgh-jkmn").expect("a code")];
        store.replace_recovery_codes(&subject("alice"), &codes).await.expect("codes");
        let spent = stand.present(store, "alice", "abcd-efgh-jkmn").await.expect("settled");
        assert!(matches!(spent, Settlement::Accepted { .. }), "{spent:?}");

        let (device, id) = (device(stand.now()), FactorId::parse("d1").expect("an id"));
        store.add_device(&subject("alice"), &id, &device, None, stand.now()).await.expect("remembered");
        let read = store.device(&subject("alice"), &id).await.expect("read").expect("it is there");
        let DeviceVerdict::Accept(next) = read.device.judge(&[1; 32], Some("cli"), [2; 32], stand.now())
        else {
            panic!("not accepted")
        };
        let used = store.replace_device(&subject("alice"), &read, &next, stand.now()).await.expect("asked");
        assert!(used.is_some());
        assert_eq!(store.forget_devices(&subject("alice"), None).await.expect("forgotten"), 1);

        let (secret, form_token) = (Secret::new("s".to_owned()), Secret::new("t".to_owned()));
        let session = Session {
            subject: subject("alice"),
            verified_beside: vec![id.clone()],
            proposed: Vec::new(),
            confirmed_at: None,
            changes: 0,
            began_at: stand.now(),
            renewed_at: stand.now(),
            form_token,
        };
        store.begin_session(&secret, &session, 60, stand.now()).await.expect("a session");
        let read = store.session(&secret, stand.now()).await.expect("read").expect("a session");
        assert!(
            store.go_on_with_session(&secret, &read, &session, 60, stand.now()).await.expect("it goes on")
        );
        store.end_session(&secret).await.expect("ended");

        let throttle = Throttle { per_minute: 60, burst: 1 };
        assert_eq!(store.pass([192, 0, 2, 1].into(), throttle).await.expect("asked"), Passage::Free);

        let event = TrailEvent {
            at: stand.now(),
            actor: Actor::command_line("x"),
            change: ChangeKind::Unlocked,
            subject: None,
            object: None,
        };
        store.append(&event).await.expect("recorded");
        let trail = store.trail(&TrailQuery { limit: 10, ..TrailQuery::default() }).await.expect("a page");
        assert_eq!(trail.events, [event]);
        // As many as make the oldest one go.
        for _ in 0..=100 {
            let own = TrailEvent {
                at: stand.now(),
                actor: Actor::own(&subject("bob")),
                change: ChangeKind::Renamed,
                subject: Some(subject("bob")),
                object: None,
            };
            store.append(&own).await.expect("recorded");
        }
        assert_eq!(store.disable(&subject("alice")).await.expect("disabled"), 1);
    });
}

fn device(now: UnixTime) -> Device {
    Device {
        client_id: "cli".into(),
        label: None,
        digest: [1; 32],
        previous: None,
        created_at: now,
        used_at: now,
        forget_at: UnixTime::from_secs(now.as_secs() + 3600),
    }
}

/// An authority, a certificate for 127.0.0.1 and one for the gateway, and their keys.
fn certify(dir: &Path) {
    let openssl = |arguments: &[&str]| {
        let fixed = ["-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"];
        quietly(Command::new("openssl").current_dir(dir).arg("req").args(fixed).args(arguments));
    };
    openssl(&["-subj", "/CN=Test authority", "-out", "ca.pem", "-keyout", "ca.key"]);
    for (name, alternative) in [("server", "IP:127.0.0.1"), ("gateway", "DNS:gateway.example")] {
        let (subject, extension) = (format!("/CN={name}"), format!("subjectAltName={alternative}"));
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        openssl(&[
            "-subj",
            &subject,
            "-addext",
            &extension,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-out",
            &certificate,
            "-keyout",
            &key,
        ]);
    }
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).expect("a file")
}

fn with_all(dir: &Path, settings: RedisSettings) -> RedisSettings {
    let certificate = Some((read(dir, "gateway.pem"), Secret::new(read(dir, "gateway.key"))));
    let tls = RedisTls { authorities: Some(read(dir, "ca.pem")), certificate };
    settings.with_tls(tls).expect("certificates")
}

fn without_a_certificate(dir: &Path, settings: RedisSettings) -> RedisSettings {
    let tls = RedisTls { authorities: Some(read(dir, "ca.pem")), certificate: None };
    settings.with_tls(tls).expect("certificates")
}

fn with_another_authority(dir: &Path, settings: RedisSettings) -> RedisSettings {
    let tls = RedisTls { authorities: Some(read(dir, "gateway.pem")), certificate: None };
    settings.with_tls(tls).expect("certificates")
}

#[test]
fn tls_goes_to_every_server_of_a_site_and_to_no_other() {
    for topology in [Topology::Standalone, Topology::Sentinel, Topology::Cluster] {
        let dir = tempfile::tempdir().expect("a directory");
        certify(dir.path());
        let clock = Clock::real();
        let site = RedisSite::start(
            topology,
            &clock,
            Particulars { tls: Some(dir.path()), ..Particulars::default() },
        );
        let mut stand = Stand::in_own_directory(Some(site), clock, dir);
        stand.redis_settings = with_all;
        let totp = stand.enrol_alice();
        assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), accepted("f1"), "{topology:?}");
        for refused in [without_a_certificate, with_another_authority, |_: &Path, settings| settings] {
            stand.redis_settings = refused;
            let loaded = stand.run(async |store| store.load(&subject("alice")).await);
            assert!(loaded.is_err(), "{topology:?}: {loaded:?}");
        }
    }
}
