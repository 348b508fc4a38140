//! `explain`: which rule decides over a log-in, and why.

use std::net::IpAddr;

use clap::Args;
use serde_json::json;

use super::{CliError, administer, subject::resolve};
use crate::{
    config::Settings,
    policy::{
        Enforcement,
        rules::{Facts, Holds, Rule, Verdict},
    },
    step_up::Clock as _,
    telemetry::SystemClock,
    types::UnixTime,
    upstream::OwnerSource,
};

/// What is known of the log-in. What is not given is not known.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway explain --subject alice --client platform-cli --ip 203.0.113.7\n  tfa-gateway explain --subject alice --scope \"read admin\" --at 2026-12-24T22:00:00Z"
)]
pub(super) struct Arguments {
    /// Who logs in
    #[arg(long)]
    subject: String,
    /// With which client (`client_id`)
    #[arg(long)]
    client: Option<String>,
    /// For which scopes, with spaces between them
    #[arg(long)]
    scope: Option<String>,
    /// From where
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// When, such as 2026-12-24T22:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<jiff::Timestamp>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let subject = resolve(&arguments.subject)?;
    let otherwise = "it is not known whether the subject is enrolled";
    let status = administer(settings, otherwise, async |admin| admin.status(&subject).await)?;
    let scopes: Option<Vec<String>> =
        arguments.scope.as_deref().map(|scope| scope.split_ascii_whitespace().map(str::to_owned).collect());
    let at = arguments.at.and_then(|at| u64::try_from(at.as_second()).ok());
    let now = at.map_or_else(|| SystemClock.now(), UnixTime::from_secs);
    let owner = status.status().alias_of.as_ref().unwrap_or(&subject);
    let facts = Facts {
        subject: owner,
        client_id: arguments.client.as_deref(),
        scopes: scopes.as_deref(),
        address: arguments.ip,
        now,
    };
    let decision = settings.rules.decide(&facts);
    let decided_by = decision.rule.map(|rule| rule.name.as_str());
    let asked = settings.rules.asked(&facts);
    let may_match: Vec<&str> = asked
        .iter()
        .filter(|(_, matches)| *matches == Holds::Unknown)
        .map(|(rule, _)| rule.name.as_str())
        .collect();
    let is_enrolled = status.is_enrolled();
    let is_by_name = matches!(settings.owners, OwnerSource::Username);
    let outcome = if is_by_name && !is_enrolled && owner == &subject && settings.addresses.is_unknown(owner) {
        "the log-in is refused: it is an address, and nobody's alias ([identity] addresses; `tfa-gateway alias`)"
    } else {
        outcome(decision.verdict, is_enrolled, now)
    };
    let is_enforced = settings.enforcement == Enforcement::On;
    if arguments.json {
        let explained = json!({
            "subject": owner.as_str(),
            "enrolled": is_enrolled,
            "rule": decided_by,
            "then": decision.verdict.as_str(),
            "may_match": may_match,
            "outcome": outcome,
            "enforced": is_enforced,
        });
        println!("{explained}");
        return Ok(());
    }
    println!("{owner} is {}", if is_enrolled { "enrolled" } else { "not enrolled" });
    for (rule, matches) in &asked {
        explain(rule, *matches, &facts);
    }
    if !may_match.is_empty() {
        println!(
            "of the rules that may match and the first that does (or the default), the strictest decides"
        );
    }
    match decided_by {
        Some(name) => println!("decided by '{name}': {}", decision.verdict.as_str()),
        None => println!("decided by the default: {}", decision.verdict.as_str()),
    }
    println!("{outcome}");
    if !is_enforced {
        println!("but nothing is enforced ([enforcement] mode = \"audit-only\"): the token is let out");
    }
    Ok(())
}

fn time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse()
        .map_err(|_| "must be a date and a time with its zone, such as 2026-12-24T22:00:00Z".to_owned())
}

fn explain(rule: &Rule, matches: Holds, facts: &Facts<'_>) {
    let does = match matches {
        Holds::Yes => "matches",
        Holds::No => "does not match",
        Holds::Unknown => "may match, so the next rules are asked as well",
    };
    println!("'{}' ({}) {does}", rule.name, rule.verdict.as_str());
    for condition in &rule.conditions {
        let holds = match condition.holds(facts, rule.verdict) {
            Holds::Yes => "yes",
            Holds::No => "no",
            Holds::Unknown => "not known for sure",
        };
        println!("  {condition}: {holds}");
    }
}

const fn outcome(verdict: Verdict, is_enrolled: bool, now: UnixTime) -> &'static str {
    match (verdict, is_enrolled) {
        (Verdict::Refuse, _) => "the log-in is refused",
        (Verdict::Exempt, _) | (Verdict::IfEnrolled, false) => "the password is enough",
        (_, true) => "a code is asked for",
        (Verdict::Require { grace_until: Some(end) }, false) if now.as_secs() < end.as_secs() => {
            "the password is enough, until the grace period ends"
        }
        (Verdict::Require { .. }, false) => "nobody gets in before a factor is set up",
    }
}
