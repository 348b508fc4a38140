//! The audit trail: kept in order, by subject, and a page at a time.

use futures_util::{StreamExt as _, stream};
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

    fn nobody_pushes_others_out_of_the_trail_by_own_changes(kind: StoreKind) {
        let stand = Stand::new(kind);
        let own = |n: u64, whose: &str| TrailEvent {
            actor: Actor::own(&subject(whose)),
            change: ChangeKind::Renamed,
            ..event(n, whose)
        };
        stand.run(async |store| {
            store.append(&event(0, "alice")).await.expect("recorded");
            store.append(&own(1, "bob")).await.expect("recorded");
            for n in 2..150 {
                store.append(&own(n, "alice")).await.expect("recorded");
            }
            store.append(&event(150, "alice")).await.expect("recorded");
            let query = TrailQuery { limit: 1000, ..TrailQuery::default() };
            let (own_changes, others): (Vec<_>, Vec<_>) =
                store.trail(&query).await.expect("a page").events.into_iter().partition(|e| e.actor.is_own());
            let mut expected: Vec<_> = (50..150).rev().map(|n| own(n, "alice")).collect();
            expected.push(own(1, "bob"));
            assert_eq!(own_changes, expected);
            assert_eq!(others, [event(150, "alice"), event(0, "alice")]);
        });
    }

    fn an_import_pushes_nothing_out_of_the_trail(kind: StoreKind) {
        let stand = Stand::new(kind);
        let row = |n: u64| TrailEvent { change: ChangeKind::Imported, ..event(n, &format!("person {n}")) };
        stand.run(async |store| {
            store.append(&event(0, "alice")).await.expect("recorded");
            let append = async |n| store.append(&row(n)).await.expect("recorded");
            let run = stream::iter((1..=10_600).map(append)).buffer_unordered(64);
            run.collect::<Vec<()>>().await;
            let run = TrailEvent { change: ChangeKind::Imported, subject: None, ..event(11_000, "x") };
            store.append(&run).await.expect("recorded");
            let query = TrailQuery { limit: 20_000, ..TrailQuery::default() };
            let kept = store.trail(&query).await.expect("a page").events;
            let rows = kept.iter().filter(|kept| kept.change == ChangeKind::Imported && kept.subject.is_some());
            let rows = rows.count();
            assert!((10_000..10_300).contains(&rows), "{rows}");
            // What two lists got in one millisecond has no order.
            assert!(kept.contains(&run) && kept.contains(&event(0, "alice")));
        });
    }

    fn events_of_all_lists_come_back_in_one_order_and_in_pages(kind: StoreKind) {
        let stand = Stand::new(kind);
        let of_some_list = |n: u64| match n % 3 {
            0 => event(n, "alice"),
            1 => TrailEvent { actor: Actor::own(&subject("bob")), ..event(n, "bob") },
            _ => TrailEvent { change: ChangeKind::Imported, ..event(n, "alice") },
        };
        stand.run(async |store| {
            // At once: in Redis, many have one time.
            futures_util::future::join_all((0..60).map(async |n| {
                store.append(&of_some_list(n)).await.expect("recorded");
            }))
            .await;
            let whole = TrailQuery { limit: 100, ..TrailQuery::default() };
            let whole = store.trail(&whole).await.expect("a page");
            assert!(whole.next.is_none() && whole.events.len() == 60);
            for limit in [1, 7, 60] {
                let mut query = TrailQuery { limit, ..TrailQuery::default() };
                let mut read = Vec::new();
                loop {
                    let page = store.trail(&query).await.expect("a page");
                    read.extend(page.events);
                    query.before = page.next;
                    if query.before.is_none() {
                        break;
                    }
                }
                assert_eq!(read, whole.events, "{limit}");
            }
        });
    }
}
