//! Redis as sites run it, configured as they do: Sentinels, a Cluster, and a user whose password lies in a file.

use std::fs;

use crate::support::{
    Challenge, Clock, Stage, StoreKind, TokenRequest, assert_challenge, assert_token,
    site::{Particulars, RedisSite, Topology},
};

fn serves(topology: Topology) {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let site = RedisSite::start(topology, &Clock::real(), Particulars::default());
    let user = ["ACL", "SETUSER", "gateway", "on", ">pass word", "~tfa:*", "+@all"];
    assert!(site.everywhere(&user).iter().all(|said| said == "OK"));
    let file = stage.config.dir().join("redis.password");
    fs::write(&file, "pass word\n").expect("written");
    stage.config.set_text("store.url", &site.url());
    stage.config.set_text("store.username", "gateway");
    stage.config.set_text("store.password_file", file.to_str().expect("UTF-8"));
    stage.config.set("store.wait_replicas", &site.replicas().to_string());
    stage.config.run(&["keys", "generate"]).ok();
    let alice = stage.enrol("alice");
    assert!(site.cli(&["HKEYS", "tfa:{alice}:enrolment"]).starts_with("totp:"));
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    let code = alice.code();
    assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
}

#[test]
fn a_gateway_serves_on_the_master_that_a_sentinel_names() {
    serves(Topology::Sentinel);
}

#[test]
fn a_gateway_serves_on_a_cluster() {
    serves(Topology::Cluster);
}
