//! Redis as sites run it, configured as they do: Sentinels, a Cluster, TLS, and a user whose password lies in a file.

use std::{
    fs,
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use crate::{
    support::{
        Challenge, Clock, PATIENCE, Stage, StoreKind, TokenRequest, assert_challenge, assert_token, exchange,
        has_token,
        site::{MASTER, Particulars, RedisSite, Topology, wait_until},
    },
    tls::Authority,
};

/// A stage on a site where the gateway is a user with a password, and not allowed all.
fn stage_on(site: &RedisSite) -> Stage {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let user = ["ACL", "SETUSER", "gateway", "on", ">pass word", "~tfa:*", "+@all"];
    assert!(site.everywhere(&user).iter().all(|said| said == "OK"));
    let file = stage.config.dir().join("redis.password");
    fs::write(&file, "pass word\n").expect("written");
    stage.config.set_text("store.url", &site.url());
    stage.config.set_text("store.username", "gateway");
    stage.config.set_text("store.password_file", file.to_str().expect("UTF-8"));
    stage.config.set("store.wait_replicas", &site.replicas().to_string());
    stage.config.run(&["keys", "generate"]).ok();
    stage
}

fn assert_serves(stage: &mut Stage, site: &RedisSite) {
    let alice = stage.enrol("alice");
    assert!(site.cli(&["HKEYS", "tfa:{alice}:enrolment"]).starts_with("totp:"));
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    let code = alice.code();
    assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
}

fn serves(topology: Topology) {
    let site = RedisSite::start(topology, &Clock::real(), Particulars::default());
    assert_serves(&mut stage_on(&site), &site);
}

#[test]
fn a_gateway_serves_on_the_master_that_a_sentinel_names() {
    serves(Topology::Sentinel);
}

#[test]
fn a_gateway_serves_on_a_cluster() {
    serves(Topology::Cluster);
}

/// With an authority of the site's own, and a certificate that Redis wants to see.
fn serves_over_tls(topology: Topology) {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = Authority::new(dir.path());
    authority.certify("IP:127.0.0.1");
    authority.certify_as("gateway", "/CN=gateway", "DNS:gateway.test");
    let with_tls = Particulars { tls: Some(dir.path()), ..Particulars::default() };
    let site = RedisSite::start(topology, &Clock::real(), with_tls);
    let mut stage = stage_on(&site);
    let set = |stage: &mut Stage, key: &str, file: &str| {
        stage.config.set_text(key, Path::new(&authority.file(file)).to_str().expect("UTF-8"));
    };
    set(&mut stage, "store.ca_file", "ca.pem");
    // Without the certificate it is not let in.
    assert!(!stage.config.run(&["enrol", "alice"]).refused().is_empty());
    set(&mut stage, "store.certificate_file", "gateway.pem");
    set(&mut stage, "store.key_file", "gateway.key");
    assert_serves(&mut stage, &site);
}

#[test]
fn a_gateway_serves_on_one_redis_over_tls() {
    serves_over_tls(Topology::Standalone);
}

#[test]
fn a_gateway_serves_on_the_master_that_a_sentinel_names_over_tls() {
    serves_over_tls(Topology::Sentinel);
}

#[test]
fn a_gateway_serves_on_a_cluster_over_tls() {
    serves_over_tls(Topology::Cluster);
}

/// Whatever the Sentinels do meanwhile, each client is answered: served, or told to come back; and nobody restarts.
#[test]
fn clients_are_served_through_a_failover_and_after_it() {
    const PEOPLE: usize = 4;
    let quick = Particulars { dead_after_ms: 1000, ..Particulars::default() };
    let mut site = RedisSite::start(Topology::Sentinel, &Clock::real(), quick);
    let mut stage = stage_on(&site);
    stage.config.set("store.timeout_ms", "1500");
    let people: Vec<_> = (0..PEOPLE)
        .map(|n| {
            let name = format!("alice{n}");
            let person = stage.enrol(&name);
            (name, person)
        })
        .collect();
    let alice = stage.enrol("alice");
    stage.serve();
    let address = stage.gateway().address();
    let is_over = AtomicBool::new(false);
    let (tell, answered) = mpsc::channel();
    thread::scope(|scope| {
        for (client, (name, person)) in people.iter().enumerate() {
            let (tell, is_over) = (tell.clone(), &is_over);
            scope.spawn(move || {
                let mut accepted = Vec::new();
                while !is_over.load(Ordering::SeqCst) {
                    let bob = TokenRequest::password("bob", "hunter22");
                    let answer = exchange(address, &bob.bytes()).expect("an answer");
                    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
                    let is_served = answer.status == 200;
                    // Without a code there is no token, whoever is the master.
                    let alone = TokenRequest::password(name, "passw0rd");
                    let answer = exchange(address, &alone.bytes()).expect("an answer");
                    assert!(matches!(answer.status, 401 | 503) && !has_token(&answer), "{answer:?}");
                    let code = person.code();
                    let answer = exchange(address, &alone.code(&code).bytes()).expect("an answer");
                    assert!(matches!(answer.status, 200 | 401 | 503), "{answer:?}");
                    if has_token(&answer) {
                        assert!(!accepted.contains(&code), "{name}'s code was accepted twice");
                        accepted.push(code);
                    }
                    if is_served {
                        let _ = tell.send(client);
                    }
                }
            });
        }
        // The clients end with the test, however that ends.
        let _over = SetWhenDropped(&is_over);
        drop(tell);
        // From now on, each client is served again.
        let all_are_served = || {
            let mut waiting = [true; PEOPLE];
            while answered.try_recv().is_ok() {}
            while waiting.contains(&true) {
                let client: usize = answered.recv_timeout(PATIENCE).expect("they are served again");
                waiting[client] = false;
            }
        };
        all_are_served();
        let old = site.servers[0].port().to_string();
        site.servers[0].kill();
        wait_until("the Sentinel names another master", || {
            let sentinel = site.sentinel.as_ref().expect("a Sentinel");
            let named = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
            !named.is_empty() && !named.contains(&old)
        });
        site.restart_as_replica();
        all_are_served();
    });
    // Each thread uses it again.
    let bob = TokenRequest::password("bob", "hunter22");
    wait_until("no thread leaves Redis alone any more", || (0..40).all(|_| stage.send(&bob).status == 200));
    // A code must reach the replica, too, and the Sentinel may go on to order it about: what it says then is 503, and that
    // may use the code up.
    let code = alice.code();
    let judged = || {
        let (mut answer, mut tries) = (None, 0);
        wait_until("a code is judged again", || {
            tries += 1;
            answer.insert(stage.send(&TokenRequest::alice().code(&code))).status != 503
        });
        (answer.expect("an answer"), tries)
    };
    let (answer, tries) = judged();
    if tries == 1 || has_token(&answer) {
        assert_token(&answer);
    } else {
        assert_challenge(&answer, Challenge::UsedCode);
    }
    assert_challenge(&judged().0, Challenge::UsedCode);
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
