//! `[[policy]]`: who needs a second factor, and when. The first rule that matches decides; without one, whoever is
//! enrolled does.
//!
//! Invariants: what is not known of a request (its client, its address, its scopes) never lowers what is asked for: of
//! the rules that may match up to the first that does, the strictest decides.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use jiff::{civil::Weekday, tz::TimeZone};

use crate::types::{SubjectId, UnixTime, fold};

/// What is known of a grant when it is decided. What is not known is `None`.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whose token it is.
    pub subject: &'a SubjectId,
    /// The client that asked (RFC 6749 section 2.2).
    pub client_id: Option<&'a str>,
    /// The scopes that were asked for or granted (RFC 6749 section 3.3).
    pub scopes: Option<&'a [String]>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// When.
    pub now: UnixTime,
}

/// What a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// A second factor, also of those who have none yet.
    Require {
        /// Until then those who have none get their tokens all the same.
        grace_until: Option<UnixTime>,
    },
    /// A second factor of those who have one.
    #[default]
    IfEnrolled,
    /// None.
    Exempt,
    /// No token at all.
    Refuse,
}

impl Verdict {
    /// Its name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Require { .. } => "require",
            Self::IfEnrolled => "if-enrolled",
            Self::Exempt => "exempt",
            Self::Refuse => "refuse",
        }
    }

    /// Whether it asks for no more than the default.
    const fn is_lax(self) -> bool {
        matches!(self, Self::IfEnrolled | Self::Exempt)
    }

    /// How much it asks for: no token before a factor, a factor before a grace period, one that ends sooner before one
    /// that ends later.
    const fn strictness(self) -> (u8, u64) {
        match self {
            Self::Refuse => (3, 0),
            Self::Require { grace_until: None } => (2, u64::MAX),
            Self::Require { grace_until: Some(end) } => (2, u64::MAX - 1 - end.as_secs()),
            Self::IfEnrolled => (1, 0),
            Self::Exempt => (0, 0),
        }
    }
}

/// Part of a rule: all conditions of a rule must hold.
#[derive(Debug, Clone)]
pub enum Condition {
    /// The subject is one of these; `*` stands for any text, `?` for one character.
    Subjects(Vec<Pattern>),
    /// The client is one of these.
    Clients(Vec<String>),
    /// A scope is one of these; for a lax verdict, all are.
    Scopes(Vec<String>),
    /// The address is in one of these networks.
    Networks(Vec<IpNet>),
    /// It is one of these days, and a time of day between the two (in minutes; the end may be on the next day), there.
    Times {
        /// The days on which the span begins; empty: all.
        days: Vec<Weekday>,
        /// Minutes of the day, from and until; `None`: the whole day.
        span: Option<(u16, u16)>,
        /// Where.
        zone: TimeZone,
    },
}

/// Whether a condition holds, or all of a rule do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Nobody can say: what it is about is not known, or spelt in another way than the rule spells it, which some
    /// databases take for the same.
    Unknown,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What it is called in the audit trail and by `tfa-gateway explain`.
    pub name: String,
    /// When it decides.
    pub conditions: Vec<Condition>,
    /// What it asks for.
    pub verdict: Verdict,
}

/// All rules, in their order.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

/// What was decided, and by which rule: `None` for the default.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// The rule.
    pub rule: Option<&'a Rule>,
    /// What it asks for.
    pub verdict: Verdict,
}

impl Rules {
    /// These rules.
    pub const fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// The rules, in their order.
    pub fn as_slice(&self) -> &[Rule] {
        &self.0
    }

    /// Whether any rule asks for scopes, so that they must be known.
    pub fn ask_for_scopes(&self) -> bool {
        self.0.iter().flat_map(|rule| &rule.conditions).any(|c| matches!(c, Condition::Scopes(_)))
    }

    /// The first rule that matches, or the default; or one before it that may match and asks for more.
    pub fn decide(&self, facts: &Facts<'_>) -> Decision<'_> {
        let mut strictest = Decision { rule: None, verdict: Verdict::IfEnrolled };
        let mut asked = self.asked(facts);
        // What is known for sure is asked first, so that of two rules that ask for as much it is the one that decides.
        if let Some((rule, _)) = asked.pop_if(|(_, matches)| *matches == Holds::Yes) {
            strictest = Decision { rule: Some(rule), verdict: rule.verdict };
        }
        for (rule, matches) in asked {
            if matches == Holds::Unknown && rule.verdict.strictness() > strictest.verdict.strictness() {
                strictest = Decision { rule: Some(rule), verdict: rule.verdict };
            }
        }
        strictest
    }

    /// The rules in their order up to the first that matches, each with whether it does.
    pub fn asked(&self, facts: &Facts<'_>) -> Vec<(&Rule, Holds)> {
        let mut asked = Vec::new();
        for rule in &self.0 {
            let matches = rule.matches(facts);
            asked.push((rule, matches));
            if matches == Holds::Yes {
                break;
            }
        }
        asked
    }
}

impl Rule {
    /// Whether all its conditions hold.
    pub fn matches(&self, facts: &Facts<'_>) -> Holds {
        let mut all = Holds::Yes;
        for condition in &self.conditions {
            match condition.holds(facts, self.verdict) {
                Holds::Yes => {}
                Holds::No => return Holds::No,
                Holds::Unknown => all = Holds::Unknown,
            }
        }
        all
    }
}

impl Condition {
    /// Whether it holds, in a rule with this verdict.
    pub fn holds(&self, facts: &Facts<'_>, verdict: Verdict) -> Holds {
        match self {
            Self::Subjects(patterns) => {
                patterns.iter().any(|pattern| pattern.fits(facts.subject.as_str())).into()
            }
            Self::Clients(clients) => facts.client_id.map_or(Holds::Unknown, |id| is_one(clients, id)),
            Self::Scopes(listed) => match facts.scopes {
                None | Some([]) => Holds::Unknown,
                Some(scopes) => hold(listed, scopes, verdict),
            },
            Self::Networks(networks) => facts.address.map_or(Holds::Unknown, |address| {
                networks.iter().any(|network| network.contains(&address.to_canonical())).into()
            }),
            Self::Times { days, span, zone } => is_time(days, *span, zone, facts.now).into(),
        }
    }
}

/// Whether a text is listed: to the letter, or in a spelling that some database takes for the same.
fn is_one(listed: &[String], text: &str) -> Holds {
    if listed.iter().any(|one| one == text) {
        return Holds::Yes;
    }
    let folded = fold::coarse(text);
    if listed.iter().any(|one| fold::coarse(one) == folded) { Holds::Unknown } else { Holds::No }
}

/// Whether one of these scopes is listed, or all of them for a lax verdict.
fn hold(listed: &[String], scopes: &[String], verdict: Verdict) -> Holds {
    let (decisive, other) = if verdict.is_lax() { (Holds::No, Holds::Yes) } else { (Holds::Yes, Holds::No) };
    let mut all = other;
    for scope in scopes {
        let is_split = scope.contains(',') && !listed.contains(scope);
        for part in scope.split(',').filter(|_| is_split).chain((!is_split).then_some(scope.as_str())) {
            // Some servers take commas for spaces.
            let held = match is_one(listed, part) {
                Holds::Yes if is_split => Holds::Unknown,
                held => held,
            };
            if held == decisive {
                return held;
            }
            if held == Holds::Unknown {
                all = held;
            }
        }
    }
    all
}

fn is_time(days: &[Weekday], span: Option<(u16, u16)>, zone: &TimeZone, now: UnixTime) -> bool {
    let local = zone.to_datetime(now.to_timestamp());
    let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
    let is_day = |day: Weekday| days.is_empty() || days.contains(&day);
    let today = local.weekday();
    match span {
        None => is_day(today),
        Some((from, until)) if from < until => (from..until).contains(&minute) && is_day(today),
        // Over midnight: what began yesterday is still yesterday's.
        Some((from, _)) if minute >= from => is_day(today),
        Some((_, until)) => minute < until && is_day(today.previous()),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, what: &str, items: Vec<String>| {
            write!(f, "{what} {}", items.join(", "))
        };
        match self {
            Self::Subjects(patterns) => {
                list(f, "subjects", patterns.iter().map(|pattern| pattern.0.clone()).collect())
            }
            Self::Clients(clients) => list(f, "clients", clients.clone()),
            Self::Scopes(scopes) => list(f, "scopes", scopes.clone()),
            Self::Networks(networks) => list(f, "networks", networks.iter().map(IpNet::to_string).collect()),
            Self::Times { days, span, zone } => {
                f.write_str("times")?;
                for day in days {
                    write!(f, " {day:?}")?;
                }
                if let Some((from, until)) = span {
                    let (from, until) = ((from / 60, from % 60), (until / 60, until % 60));
                    write!(f, " {:02}:{:02}-{:02}:{:02}", from.0, from.1, until.0, until.1)?;
                }
                write!(f, " {}", zone.iana_name().unwrap_or("UTC"))
            }
        }
    }
}

/// A text in which `*` stands for any text, and `?` for one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Takes a text that was folded as names are.
    pub const fn folded(text: String) -> Self {
        Self(text)
    }

    /// Whether a text fits. It takes time in proportion to the product of both lengths, at most.
    pub fn fits(&self, text: &str) -> bool {
        let (pattern, text): (Vec<char>, Vec<char>) = (self.0.chars().collect(), text.chars().collect());
        let (mut at, mut here) = (0, 0);
        let mut star = None;
        while here < text.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, here));
                    at += 1;
                }
                Some(c) if *c == '?' || *c == text[here] => {
                    at += 1;
                    here += 1;
                }
                _ => {
                    // The last star takes one character more.
                    let Some((star_at, taken)) = star else { return false };
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    here = taken + 1;
                }
            }
        }
        pattern[at..].iter().all(|c| *c == '*')
    }
}

#[cfg(test)]
mod tests;
