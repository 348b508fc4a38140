//! How often a client may ask, counted for all gateways.

use std::net::IpAddr;

use tfa_gateway::{
    policy::throttle::{Passage, Throttle},
    step_up::TokenThrottle as _,
};

use crate::stand::{self, Stand, StoreKind, at_once, on_every_store};

/// One request an hour in the long run, so that no test is slow enough to earn one.
const SLOWLY: Throttle = Throttle { per_minute: 1, burst: 5 };

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

on_every_store! {
    fn a_burst_passes_and_each_client_has_its_own(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            for client in ["192.0.2.1", "192.0.2.2", "2001:db8::"] {
                for _ in 0..5 {
                    assert_eq!(store.pass(address(client), SLOWLY).await.expect("asked"), Passage::Free);
                }
                let Passage::In(ms) = store.pass(address(client), SLOWLY).await.expect("asked") else {
                    panic!("a sixth passed")
                };
                assert!((1..=60_000).contains(&ms), "{ms}");
            }
        });
    }

    fn of_many_at_once_a_burst_passes(kind: StoreKind) {
        let stand = Stand::new(kind);
        let opener = stand.opener();
        let passed = at_once(20, |_| {
            stand::run(&opener, async |store| store.pass(address("192.0.2.7"), SLOWLY).await.expect("asked"))
        });
        assert_eq!(passed.iter().filter(|passage| **passage == Passage::Free).count(), 5, "{passed:?}");
    }
}
