//! Both stores against the rule itself: whatever is presented, and whenever, they settle it as
//! `policy::lockout::Ledger` does.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tfa_gateway::{
    factor::{self, Factor, Factors, Passcode, totp::Totp},
    policy::lockout::{Attempt, Ledger},
    step_up::{AttemptLedger as _, EnrolmentRegistry as _, Fingerprints as _},
    types::{FactorId, NonEmpty},
};

use crate::stand::{LOCKOUT, START, Stand, StoreKind, on_every_store, run, subject, totp};

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    /// Time passes.
    Seconds(u64),
    /// A factor's passcode of a step near the present one.
    Right { factor: usize, step: i64 },
    /// One of a few wrong ones.
    Wrong(u8),
    /// An administrator unlocks.
    Unlock,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0_u64..200).prop_map(Event::Seconds),
        1 => (200_u64..5000).prop_map(Event::Seconds),
        6 => (0_usize..2, -2_i64..=2).prop_map(|(factor, step)| Event::Right { factor, step }),
        12 => (0_u8..12).prop_map(Event::Wrong),
        1 => Just(Event::Unlock),
    ];
    proptest::collection::vec(event, 1..60)
}

on_every_store! {
    fn every_sequence_of_attempts_is_settled_as_the_rule_says(kind: StoreKind) {
        let stand = Stand::new(kind);
        let opener = stand.opener();
        let totps: [Totp; 2] = [totp(1), totp(2)];
        let factors: Vec<Factor> = totps
            .iter()
            .zip(["f1", "f2"])
            .map(|(totp, id)| Factor {
                id: FactorId::parse(id).expect("an id"),
                label: None,
                enrolled_at: None,
                totp: totp.clone(),
            })
            .collect();
        let totp = NonEmpty::from_vec(factors).expect("two of them");
        let factors = Factors { totp, recovery_codes: Vec::new() };
        let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
        let mut subjects = 0;
        let sequence = std::cell::RefCell::new(&mut subjects);
        let outcome = TestRunner::new(config).run(&events(), |events| {
            **sequence.borrow_mut() += 1;
            let who = subject(&format!("subject-{}", sequence.borrow()));
            stand.clock.set(START);
            run(&opener, async |store| {
                let mut model = Ledger::default();
                for event in &events {
                    let now = stand.now();
                    let code = match event {
                        Event::Seconds(secs) => {
                            stand.clock.advance(*secs);
                            continue;
                        }
                        Event::Unlock => {
                            prop_assert_eq!(store.unlock(&who).await.expect("unlocked"), model.unlock());
                            continue;
                        }
                        Event::Right { factor, step } => {
                            totps[*factor].passcode_at((now.as_secs() / 30).saturating_add_signed(*step)).to_string()
                        }
                        Event::Wrong(n) => format!("w-{n:02}"),
                    };
                    let passcode = Passcode::from_bytes(code.as_bytes());
                    let attempt = Attempt {
                        fit: factor::verify(&factors, &passcode, now, |_, _| false),
                        fingerprint: store.fingerprint(&who, passcode.expose()),
                        window_secs: factor::window_secs(&factors),
                    };
                    let settled = store.settle(&who, &attempt, now).await.expect("settled");
                    prop_assert_eq!(settled, model.settle(&attempt, now, &LOCKOUT, |_| false), "{:?}", event);
                }
                let kept = store.status(&who).await.expect("a status").ledger;
                prop_assert_eq!(kept.failures_in_a_row, model.failures_in_a_row);
                prop_assert_eq!(kept.locked_until, model.locked_until);
                Ok(())
            })
        });
        outcome.expect("the store and the rule agree");
    }
}
