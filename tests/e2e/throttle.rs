//! Clients that ask too often.

use crate::support::{
    Response, Stage, StoreKind, TokenRequest, assert_denied, assert_token, get, on_both_stores,
};

fn bob_from(stage: &Stage, address: &str) -> Response {
    stage.send(&TokenRequest::password("bob", "hunter22").header("X-Forwarded-For", address))
}

on_both_stores! {
    fn who_asks_too_often_waits_and_nobody_else_does(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.config.set("listen.trusted_proxies", "['127.0.0.1']");
        stage.config.set("limits.token_requests_per_minute", "1");
        stage.config.set("limits.token_requests_burst", "3");
        stage.serve();
        for _ in 0..3 {
            assert_token(&bob_from(&stage, "192.0.2.1"));
        }
        let refused = bob_from(&stage, "192.0.2.1");
        assert_denied(&refused, 429, "temporarily_unavailable");
        let wait: u64 = refused.header("retry-after").and_then(|secs| secs.parse().ok()).expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
        assert_token(&bob_from(&stage, "192.0.2.2"));
        // Everything else is free.
        assert_eq!(stage.send_raw(&get("/")).status, 200);
    }
}
