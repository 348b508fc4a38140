//! The audit trail: kept in order, by subject, and a page at a time.

use tfa_gateway::{
    step_up::{Actor, AuditTrail as _, ChangeKind, TrailEvent, TrailQuery},
    types::UnixTime,
};

use crate::stand::{Stand, StoreKind, on_every_store, subject};

fn event(n: u64, whose: &str) -> TrailEvent {
    TrailEvent {
        at: UnixTime::from_secs(1_900_000_000 + n),
        actor: Actor::api("help desk"),
        change: ChangeKind::Unlocked,
        subject: Some(subject(whose)),
        object: n.is_multiple_of(2).then(|| format!("object {n}")),
    }
}

on_every_store! {
    fn events_come_back_as_they_were_recorded_the_latest_first_and_in_pages(kind: StoreKind) {
        let stand = Stand::new(kind);
        let all: Vec<_> = (0..25).map(|n| event(n, if n % 5 == 0 { "alice" } else { "bob" })).collect();
        stand.run(async |store| {
            for event in &all {
                store.append(event).await.expect("recorded");
            }
            for (whose, limit) in [(None, 7), (None, 25), (None, 1), (Some("alice"), 2), (Some("alice"), 5)] {
                let whose = whose.map(subject);
                let mut query = TrailQuery { subject: whose.clone(), before: None, limit };
                let mut read = Vec::new();
                loop {
                    let page = store.trail(&query).await.expect("a page");
                    assert!(page.events.len() <= limit);
                    read.extend(page.events);
                    query.before = page.next;
                    if query.before.is_none() {
                        break;
                    }
                }
                let mut expected: Vec<_> =
                    all.iter().filter(|e| whose.is_none() || e.subject == whose).cloned().collect();
                expected.reverse();
                assert_eq!(read, expected, "{whose:?}, {limit}");
            }
            let nobody = TrailQuery { subject: Some(subject("carol")), before: None, limit: 10 };
            assert!(store.trail(&nobody).await.expect("a page").events.is_empty());
        });
    }
}
