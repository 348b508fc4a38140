//! `[[policy]]` and `[enforcement]`: who needs a second factor.

use std::collections::BTreeSet;

use jiff::{civil::Weekday, tz::TimeZone};

use super::{reader::Reader, table::TableReader};
use crate::{
    headers::client_addr::TrustedProxies,
    identity::fold_username,
    policy::{
        Enforcement,
        rules::{Condition, Pattern, Rule, Rules, Verdict},
    },
    types::UnixTime,
};

const KEYS: [&str; 10] =
    ["name", "subjects", "clients", "scopes", "networks", "days", "hours", "timezone", "then", "grace_until"];

pub(super) fn enforcement(reader: &mut Reader<'_>) -> Enforcement {
    let mode = reader.text("enforcement.mode", |text| match text {
        "on" => Ok(Enforcement::On),
        "audit-only" => Ok(Enforcement::AuditOnly),
        _ => Err("must be on or audit-only".into()),
    });
    mode.unwrap_or_default()
}

/// The rules, in their order.
pub(super) fn rules(reader: &mut Reader<'_>) -> Rules {
    let mut names = BTreeSet::new();
    let mut rules = Vec::new();
    for (position, table) in reader.tables("policy").into_iter().enumerate() {
        let default_name = format!("policy {}", position + 1);
        let mut table = TableReader::new(reader, "policy", position, table);
        match rule(&mut table, default_name) {
            Some(rule) if !names.insert(rule.name.clone()) => {
                table.fault("name", "must differ from those of other rules");
            }
            Some(rule) => rules.push(rule),
            None => {}
        }
    }
    Rules::new(rules)
}

/// One `[[policy]]`. Reads it all, so that all that is wrong with it is said.
fn rule(table: &mut TableReader<'_, '_>, default_name: String) -> Option<Rule> {
    table.knows(&KEYS, "a rule");
    let name = table.text("name", |text| {
        if !text.trim().is_empty() && text.len() <= 64 && !text.chars().any(char::is_control) {
            Ok(text.to_owned())
        } else {
            Err("must be 1 to 64 bytes of text".into())
        }
    });
    let mut conditions = Vec::new();
    let subjects = table.list("subjects", |text| {
        let folded = fold_username(text)
            .map_err(|fault| format!("must hold names or patterns, each of which {fault}"))?;
        Ok(Pattern::folded(folded.as_str().to_owned()))
    });
    conditions.extend(subjects.map(Condition::Subjects));
    let some = |text: &str| {
        if text.is_empty() { Err("must not hold an empty text".into()) } else { Ok(text.to_owned()) }
    };
    conditions.extend(table.list("clients", some).map(Condition::Clients));
    conditions.extend(table.list("scopes", some).map(Condition::Scopes));
    let networks = table.list("networks", |text| {
        TrustedProxies::parse_network(text)
            .ok_or_else(|| "must hold addresses or networks, such as 10.0.0.0/8 or ::1".to_owned())
    });
    conditions.extend(networks.map(Condition::Networks));
    let zone = table.text("timezone", |text| {
        TimeZone::get(text).map_err(|_| "must be a time zone, such as UTC or Europe/Berlin".to_owned())
    });
    let has_zone = zone.is_some();
    let zone = zone.unwrap_or(TimeZone::UTC);
    let (days, span) = (table.list("days", day), table.text("hours", hours));
    let is_timed = days.is_some() || span.is_some();
    let grace_until = table.text("grace_until", |text| date(text, &zone));
    if is_timed {
        conditions.push(Condition::Times { days: days.unwrap_or_default(), span, zone });
    } else if has_zone && grace_until.is_none() {
        table.fault("timezone", "must stand beside days, hours or grace_until");
    }
    if !table.has("then") {
        table.fault("then", "must be set: require, if-enrolled, exempt or refuse");
    }
    let verdict = table.text("then", |text| match text {
        "require" => Ok(Verdict::Require { grace_until }),
        "if-enrolled" => Ok(Verdict::IfEnrolled),
        "exempt" => Ok(Verdict::Exempt),
        "refuse" => Ok(Verdict::Refuse),
        _ => Err("must be require, if-enrolled, exempt or refuse".into()),
    });
    if grace_until.is_some() && verdict.is_some_and(|verdict| !matches!(verdict, Verdict::Require { .. })) {
        table.fault("grace_until", "must stand beside then = \"require\"");
    }
    Some(Rule { name: name.unwrap_or(default_name), conditions, verdict: verdict? })
}

fn day(text: &str) -> Result<Weekday, String> {
    Ok(match text {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return Err("must hold mon, tue, wed, thu, fri, sat or sun".into()),
    })
}

/// `HH:MM-HH:MM` as minutes of the day.
fn hours(text: &str) -> Result<(u16, u16), String> {
    let time = |text: &str| {
        let time: jiff::civil::Time = text.parse().ok()?;
        let is_plain = text.len() == 5;
        is_plain.then(|| u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs()))
    };
    text.split_once('-')
        .and_then(|(from, until)| Some((time(from)?, time(until)?)))
        .filter(|(from, until)| from != until)
        .ok_or_else(|| "must be two times of the day, such as 08:00-18:00 or 22:00-06:00".to_owned())
}

/// The beginning of a day there.
fn date(text: &str, zone: &TimeZone) -> Result<UnixTime, String> {
    let date: Option<jiff::civil::Date> = text.parse().ok().filter(|_| text.len() == 10);
    date.and_then(|date| date.to_zoned(zone.clone()).ok())
        .and_then(|begin| u64::try_from(begin.timestamp().as_second()).ok())
        .map(UnixTime::from_secs)
        .ok_or_else(|| "must be a date, such as 2027-01-31".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LEAST, read};

    #[test]
    fn a_rule_is_read_with_all_its_conditions() {
        let settings = read(&format!(
            "{LEAST}\n[[policy]]\nname = 'night'\nsubjects = ['Mary', 'svc-*']\nclients = ['cli']\nscopes = ['admin']\n\
             networks = ['10.0.0.0/8']\ndays = ['sat', 'sun']\nhours = '22:00-06:00'\ntimezone = 'Europe/Berlin'\n\
             then = 'refuse'\n[[policy]]\nthen = 'require'\ngrace_until = '2027-01-31'\n"
        ))
        .unwrap();
        let [night, all] = settings.rules.as_slice() else { panic!("two rules") };
        let shown: Vec<String> = night.conditions.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "subjects maru, svc-*",
                "clients cli",
                "scopes admin",
                "networks 10.0.0.0/8",
                "times Saturday Sunday 22:00-06:00 Europe/Berlin",
            ]
        );
        assert_eq!((all.name.as_str(), all.conditions.len()), ("policy 2", 0));
        let crate::policy::rules::Verdict::Require { grace_until: Some(end) } = all.verdict else {
            panic!("{:?}", all.verdict)
        };
        assert_eq!(end.as_secs(), 1_801_353_600);
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_named() {
        for (rule, expected) in [
            ("then = 'maybe'", "policy[0].then: must be require"),
            ("name = 'x'", "policy[0].then: must be set"),
            ("then = 'exempt'\nsubjekt = ['x']", "policy[0].subjekt: is not a setting of a rule"),
            ("then = 'exempt'\nsubjects = []", "policy[0].subjects: must be a list of texts, with one"),
            ("then = 'exempt'\nsubjects = 'x'", "policy[0].subjects: must be a list"),
            ("then = 'exempt'\nnetworks = ['10.0.0.0/33']", "policy[0].networks: must hold addresses"),
            ("then = 'exempt'\nhours = '8-18'", "policy[0].hours: must be two times"),
            ("then = 'exempt'\nhours = '08:00-08:00'", "policy[0].hours: must be two times"),
            ("then = 'exempt'\ndays = ['monday']", "policy[0].days: must hold mon"),
            ("then = 'exempt'\ntimezone = 'Mars/Base'", "policy[0].timezone: must be a time zone"),
            ("then = 'exempt'\ntimezone = 'UTC'", "policy[0].timezone: must stand beside"),
            ("then = 'exempt'\ngrace_until = '2027-01-31'", "policy[0].grace_until: must stand beside"),
            ("then = 'require'\ngrace_until = 'soon'", "policy[0].grace_until: must be a date"),
            (
                "then = 'require'\nname = 'a'\n[[policy]]\nname = 'a'\nthen = 'refuse'",
                "policy[1].name: must differ",
            ),
        ] {
            let said = read(&format!("{LEAST}\n[[policy]]\n{rule}\n")).unwrap_err();
            assert!(said.contains(expected), "{rule}: {said}");
        }
        let said = read(&format!("{LEAST}\n[policy]\nthen = 'exempt'\n")).unwrap_err();
        assert!(said.contains("policy: must be a list of tables"), "{said}");
    }
}
