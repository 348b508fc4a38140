//! From SIGTERM to the end.

use crate::{
    proxying::pair,
    support::{Peer, exchange, get},
};

#[test]
fn a_request_in_flight_is_finished_after_sigterm_and_the_probe_says_so() {
    let mut pair = pair();
    let mut client = pair.client();
    client.send(&get("/slow"));
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    pair.gateway.ask_to_stop();
    let probe = |path| exchange(pair.gateway.admin(), &get(path)).expect("an answer of the probe");
    // Each round is a request, not a wait.
    let stopping = (0..100_000).map(|_| probe("/readyz")).find(|answer| answer.text().contains("stopping"));
    assert_eq!(stopping.expect("it says that it stops").status, 503);
    assert_eq!(probe("/healthz").status, 200);
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    let answer = client.read_to_the_end();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    assert!(pair.gateway.wait().success());
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let mut pair = pair();
    let mut client = pair.client();
    client.send(&get("/one"));
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    upstream.send(b"HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head();
    let never_used = pair.client();
    pair.gateway.ask_to_stop();
    assert!(pair.gateway.wait().success());
    drop(never_used);
}

#[test]
fn a_stuck_request_is_cut_off_at_the_end_of_the_drain() {
    let mut pair = pair();
    pair.restart_with("listen.drain_timeout_secs", "1");
    let mut client = pair.client();
    client.send(&get("/stuck"));
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    pair.gateway.ask_to_stop();
    assert!(pair.gateway.wait().success());
    assert_eq!(client.read_to_the_end(), "");
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let mut pair = pair();
    pair.restart_with("listen.header_timeout_secs", "1");
    let mut client: Peer = pair.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    client.read_to_the_end();
}

#[test]
fn a_second_gateway_on_the_same_address_is_refused() {
    let mut pair = pair();
    let address = pair.gateway.address().to_string();
    let said = pair.run_with("listen.address", &format!("\"{address}\""), &["serve"]).refused();
    assert!(said.contains(&address) && said.contains("listen.address"), "{said}");
}
