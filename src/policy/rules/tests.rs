use super::*;
use crate::identity::fold_username;

const NOON_ON_A_MONDAY: u64 = 1_796_040_000; // 2026-11-30T12:00:00Z

fn facts(subject: &SubjectId) -> Facts<'_> {
    Facts {
        subject,
        client_id: None,
        scopes: None,
        address: None,
        now: UnixTime::from_secs(NOON_ON_A_MONDAY),
    }
}

fn rule(condition: Condition, verdict: Verdict) -> Rule {
    Rule { name: "r".into(), conditions: vec![condition], verdict }
}

fn require() -> Verdict {
    Verdict::Require { grace_until: None }
}

#[test]
fn the_first_rule_that_matches_decides_and_the_default_is_if_enrolled() {
    let alice = fold_username("alice").unwrap();
    let by_name =
        |name: &str, verdict| rule(Condition::Subjects(vec![Pattern::folded(name.into())]), verdict);
    let rules = Rules::new(vec![
        by_name("bob", Verdict::Refuse),
        by_name("al*", Verdict::Exempt),
        by_name("alice", Verdict::Refuse),
    ]);
    assert_eq!(rules.decide(&facts(&alice)).verdict, Verdict::Exempt);
    let carol = fold_username("carol").unwrap();
    let decision = rules.decide(&facts(&carol));
    assert!(decision.rule.is_none() && decision.verdict == Verdict::IfEnrolled);
}

#[test]
fn what_is_not_known_helps_a_strict_rule_and_no_lax_one() {
    let alice = fold_username("alice").unwrap();
    let conditions = [
        Condition::Clients(vec!["cli".into()]),
        Condition::Scopes(vec!["read".into()]),
        Condition::Networks(vec!["10.0.0.0/8".parse().unwrap()]),
    ];
    for condition in conditions {
        for (verdict, expected) in [
            (Verdict::Exempt, Verdict::IfEnrolled),
            (Verdict::IfEnrolled, Verdict::IfEnrolled),
            (require(), require()),
            (Verdict::Refuse, Verdict::Refuse),
        ] {
            let rule = rule(condition.clone(), verdict);
            assert_eq!(rule.matches(&facts(&alice)), Holds::Unknown, "{condition}");
            let rules = Rules::new(vec![rule]);
            assert_eq!(rules.decide(&facts(&alice)).verdict, expected, "{condition}");
        }
    }
}

/// Rules, the place of the one that decides, and what it says.
type Case = (Vec<(Vec<Condition>, Verdict)>, Option<usize>, Verdict);

#[test]
fn of_the_rules_that_may_match_and_the_first_that_does_the_strictest_decides() {
    let (alice, bob) = (fold_username("alice").unwrap(), fold_username("bob").unwrap());
    let grace = |secs| Verdict::Require { grace_until: Some(UnixTime::from_secs(secs)) };
    let (soon, late) = (grace(NOON_ON_A_MONDAY + 60), grace(NOON_ON_A_MONDAY + 600));
    let app = || vec![Condition::Clients(vec!["app".into()])];
    let anybody = Vec::new;
    let of = |name: &str| vec![Condition::Subjects(vec![Pattern::folded(name.into())])];
    let cases: Vec<Case> = vec![
        (vec![(app(), late), (anybody(), require())], Some(1), require()),
        (vec![(app(), require()), (anybody(), Verdict::Refuse)], Some(1), Verdict::Refuse),
        (vec![(app(), require()), (of("bob"), Verdict::Refuse)], Some(0), require()),
        (vec![(app(), require()), (anybody(), late)], Some(0), require()),
        (vec![(app(), late), (anybody(), soon)], Some(1), soon),
        (vec![(app(), soon), (anybody(), late)], Some(0), soon),
        (vec![(app(), require()), (app(), Verdict::Refuse), (anybody(), late)], Some(1), Verdict::Refuse),
        (vec![(app(), Verdict::Refuse), (anybody(), Verdict::Exempt)], Some(0), Verdict::Refuse),
        (vec![(app(), Verdict::IfEnrolled), (anybody(), Verdict::Exempt)], Some(0), Verdict::IfEnrolled),
        (vec![(app(), Verdict::Exempt), (anybody(), require())], Some(1), require()),
        (vec![(app(), Verdict::Exempt)], None, Verdict::IfEnrolled),
        // Of two that ask for as much, the one that matches.
        (vec![(app(), require()), (anybody(), require())], Some(1), require()),
        // What stands after a rule that matches is not asked.
        (vec![(app(), late), (anybody(), soon), (anybody(), Verdict::Refuse)], Some(1), soon),
        (vec![(of("alice"), Verdict::Exempt), (app(), Verdict::Refuse)], Some(0), Verdict::Exempt),
    ];
    for (rules, by, verdict) in cases {
        let rules = Rules::new(
            rules
                .into_iter()
                .enumerate()
                .map(|(n, (conditions, verdict))| Rule { name: n.to_string(), conditions, verdict })
                .collect(),
        );
        // A client that is named in another spelling is as little known as one that is not named.
        for client_id in [None, Some("APP")] {
            let decision = rules.decide(&Facts { client_id, ..facts(&alice) });
            let name = decision.rule.map(|rule| rule.name.clone());
            assert_eq!((name, decision.verdict), (by.map(|n| n.to_string()), verdict), "{rules:?}");
        }
        // To the letter, the first rule is the one.
        let first = &rules.as_slice()[0];
        if matches!(&first.conditions[..], [Condition::Clients(_)]) {
            let decision = rules.decide(&Facts { client_id: Some("app"), ..facts(&bob) });
            assert_eq!(decision.verdict, first.verdict, "{rules:?}");
        }
    }
}

#[test]
fn an_exempt_scope_does_not_bring_another_one_along() {
    let alice = fold_username("alice").unwrap();
    let listed = Condition::Scopes(vec!["read".into()]);
    for (scopes, exempt, required) in [
        (&["read"][..], Holds::Yes, Holds::Yes),
        (&["read", "admin"], Holds::No, Holds::Yes),
        (&["admin"], Holds::No, Holds::No),
    ] {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let facts = Facts { scopes: Some(&scopes), ..facts(&alice) };
        assert_eq!(rule(listed.clone(), Verdict::Exempt).matches(&facts), exempt, "{scopes:?}");
        assert_eq!(rule(listed.clone(), require()).matches(&facts), required, "{scopes:?}");
    }
}

#[test]
fn networks_and_clients_are_compared_whole() {
    let alice = fold_username("alice").unwrap();
    let network = rule(Condition::Networks(vec!["10.0.0.0/8".parse().unwrap()]), Verdict::Exempt);
    let client = rule(Condition::Clients(vec!["cli".into()]), Verdict::Exempt);
    for (address, expected) in
        [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("::1", false)]
    {
        let facts = Facts { address: Some(address.parse().unwrap()), ..facts(&alice) };
        assert_eq!(network.matches(&facts), expected.into(), "{address}");
    }
    for (id, expected) in [("cli", Holds::Yes), ("CLI", Holds::Unknown), ("cli2", Holds::No), ("", Holds::No)]
    {
        assert_eq!(client.matches(&Facts { client_id: Some(id), ..facts(&alice) }), expected, "{id}");
    }
}

#[test]
fn a_time_is_that_of_its_place_and_may_go_over_midnight() {
    let alice = fold_username("alice").unwrap();
    let at = |days: &[Weekday], span, zone: &str, hours_later: u64| {
        let zone = TimeZone::get(zone).unwrap();
        let condition = Condition::Times { days: days.to_vec(), span, zone };
        let now = UnixTime::from_secs(NOON_ON_A_MONDAY + hours_later * 3600);
        rule(condition, Verdict::Exempt).matches(&Facts { now, ..facts(&alice) }) == Holds::Yes
    };
    assert!(at(&[Weekday::Monday], None, "UTC", 0));
    assert!(!at(&[Weekday::Tuesday], None, "UTC", 0));
    assert!(at(&[], Some((12 * 60, 13 * 60)), "UTC", 0));
    assert!(!at(&[], Some((12 * 60, 13 * 60)), "Europe/Berlin", 0));
    assert!(at(&[], Some((13 * 60, 14 * 60)), "Europe/Berlin", 0));
    // From 22:00 on Monday until 06:00 on Tuesday.
    let night = Some((22 * 60, 6 * 60));
    for (hours_later, expected) in [(0, false), (10, true), (12, true), (17, true), (18, false), (34, false)]
    {
        assert_eq!(at(&[Weekday::Monday], night, "UTC", hours_later), expected, "{hours_later}");
    }
}

#[test]
fn patterns_fit_whole_names() {
    for (pattern, text, expected) in [
        ("alice", "alice", true),
        ("alice", "alice2", false),
        ("*", "", true),
        ("svc-*", "svc-", true),
        ("svc-*", "asvc-x", false),
        ("*@example.org", "a@b@example.org", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*a*b*c*", "xxaxxbxxc", true),
        ("*a*b*c*", "xxaxxcxxb", false),
        ("é?", "éé", true),
    ] {
        assert_eq!(Pattern::folded(pattern.into()).fits(text), expected, "{pattern} {text}");
    }
    let hostile = Pattern::folded("*a".repeat(50) + "b");
    assert!(!hostile.fits(&"a".repeat(1000)));
}

#[test]
fn another_spelling_that_a_server_may_take_for_the_same_lowers_nothing() {
    let alice = fold_username("alice").unwrap();
    let decided = |condition: &Condition, verdict, facts: &Facts<'_>| {
        Rules::new(vec![rule(condition.clone(), verdict)]).decide(facts).verdict
    };
    let client = Condition::Clients(vec!["partner".into()]);
    let scope = Condition::Scopes(vec!["admin".into()]);
    for spelling in ["partner", "PARTNER", "partner ", "pàrtner"] {
        let facts = Facts { client_id: Some(spelling), ..facts(&alice) };
        assert_eq!(decided(&client, Verdict::Refuse, &facts), Verdict::Refuse, "{spelling}");
        let is_exempt = decided(&client, Verdict::Exempt, &facts) == Verdict::Exempt;
        assert_eq!(is_exempt, spelling == "partner", "{spelling}");
    }
    for spelling in ["admin", "ADMIN", "read,admin", "admin,ADMIN"] {
        let scopes = [spelling.to_owned()];
        let facts = Facts { scopes: Some(&scopes), ..facts(&alice) };
        assert_eq!(decided(&scope, require(), &facts), require(), "{spelling}");
        let is_exempt = decided(&scope, Verdict::Exempt, &facts) == Verdict::Exempt;
        assert_eq!(is_exempt, spelling == "admin", "{spelling}");
    }
}
