//! Sends the cases to a reader, through the gateway and past it, and judges what came of it.

use std::{collections::HashMap, env, str::FromStr};

use serde_json::Value;
use tfa_gateway::identity::fold_username;

use super::{
    draft::{Case, case},
    names::PEOPLE,
    support::{Kind, Response, Stage, StoreKind, Upstream, exchange, has_token},
};

const SEED: u64 = 0x7466_6167;
const CASES: u64 = 600;
/// Requests that one gateway gets: its whole log is kept.
const BATCH: u64 = 500;
/// Faults are many when there is one; the first few show it.
const FAULTS_SHOWN: usize = 20;

/// What became of a case.
struct Sent {
    number: u64,
    case: Case,
    answer: Option<Response>,
    /// Whom the gateway asked for a code, or let in without one, by its audit log, if that can be told.
    subject: Option<String>,
}

impl Sent {
    fn is_challenged(&self) -> bool {
        let asks = |answer: &Response| answer.status == 401 && is_challenge(answer);
        self.answer.as_ref().is_some_and(asks)
    }

    fn is_released(&self) -> bool {
        self.answer.as_ref().is_some_and(has_token)
    }
}

fn is_challenge(answer: &Response) -> bool {
    answer.header("x-drupal-tfa").is_some_and(|value| value.starts_with("required"))
}

/// Every password grant that the reader understood was gated by the gateway, for the same person.
pub(crate) fn hold(kind: Kind) {
    let seed = setting("DIFFERENTIAL_SEED", SEED);
    let cases = setting("DIFFERENTIAL_CASES", CASES);
    let mut stage = Stage::prepared_before(Upstream::start(kind), StoreKind::Embedded);
    stage.config.set_text("log.format", "json");
    // One data-plane thread: the audit log has the order of the requests.
    stage.config.set("listen.threads", "1");
    stage.config.set("upstream.response_timeout_ms", "10000");
    // What lets a request through by mistake must not be made good by what watches the answers.
    stage.config.set_text("tripwire.mode", "off");
    // An address is a name like any other to the readers.
    stage.config.set_text("identity.addresses", "names");
    for person in PEOPLE {
        stage.enrol(person);
    }
    let mut all = Vec::new();
    let mut faults = Vec::new();
    let mut first = 0;
    while first < cases {
        let batch = send(&mut stage, seed, first..cases.min(first + BATCH), &mut faults);
        all.extend(batch);
        first += BATCH;
    }
    // What a reader still had to write down is written when it has ended.
    stage.own_upstream().stop();
    let readings = Readings::of(&stage.upstream);
    let mut tally = Tally::default();
    for sent in &all {
        let understood = readings.names(&through(sent.number));
        tally.count(sent, understood, readings.names(&past(sent.number)));
        faults.extend(judge(sent, understood).map(|fault| {
            let raw = sent.case.raw(&through(sent.number));
            format!("case {}: {fault}\n{}\n{:?}", sent.number, raw.escape_ascii(), sent.answer)
        }));
    }
    println!("{kind:?}, seed {seed}, {cases} cases: {tally:?}");
    let shown = faults.iter().take(FAULTS_SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(faults.is_empty(), "seed {seed}, {} faults:\n{shown}", faults.len());
    tally.assert_not_vacuous(cases);
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn through(number: u64) -> String {
    format!("case-{number}.test")
}

fn past(number: u64) -> String {
    format!("direct-{number}.test")
}

/// Sends some cases one after the other, and reads in the audit log whom each was taken for.
fn send(stage: &mut Stage, seed: u64, numbers: std::ops::Range<u64>, faults: &mut Vec<String>) -> Vec<Sent> {
    stage.serve();
    let mut batch: Vec<Sent> = numbers
        .map(|number| {
            let case = case(seed, number);
            let answer = exchange(stage.gateway().address(), &case.raw(&through(number)));
            exchange(stage.upstream.address(), &case.raw(&past(number)));
            Sent { number, case, answer, subject: None }
        })
        .collect();
    let log = stage.stop_gateway();
    let mut audited = |outcome: &str, answered: fn(&Sent) -> bool| {
        let subjects = subjects(&log, outcome);
        let answered: Vec<&mut Sent> = batch.iter_mut().filter(|sent| answered(sent)).collect();
        if subjects.len() != answered.len() {
            let raw = |sent: &&mut Sent| sent.case.raw(&through(sent.number)).escape_ascii().to_string();
            faults.push(format!(
                "{} answers, but {} of {outcome} in the audit log:\n{}",
                answered.len(),
                subjects.len(),
                answered.iter().map(raw).collect::<Vec<_>>().join("\n"),
            ));
            return;
        }
        for (sent, subject) in answered.into_iter().zip(subjects) {
            sent.subject = Some(subject);
        }
    };
    audited("passcode_wanted", Sent::is_challenged);
    audited("released_without_factor", Sent::is_released);
    batch
}

/// The subjects of the audit lines with an outcome, in their order.
fn subjects(log: &str, outcome: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let audited = lines.filter(|line| line["target"] == "audit" && line["outcome"] == outcome);
    audited.map(|line| line["subject"].as_str().expect("a subject").to_owned()).collect()
}

/// What a reader understood, by the host of the request.
struct Readings(HashMap<String, Vec<String>>);

impl Readings {
    fn of(reader: &Upstream) -> Self {
        let mut names = HashMap::<String, Vec<String>>::new();
        for reading in reader.readings() {
            let Some(host) = reading["host"].as_str() else { continue };
            let understood = reading["understood"].as_array().expect("a list");
            let name = |grant: &Value| grant["username"].as_str().expect("a name").to_owned();
            names.entry(host.to_owned()).or_default().extend(understood.iter().map(name));
        }
        Self(names)
    }

    fn names(&self, host: &str) -> &[String] {
        self.0.get(host).map_or(&[], Vec::as_slice)
    }
}

/// What is wrong, if anything.
fn judge(sent: &Sent, understood: &[String]) -> Option<String> {
    if understood.is_empty() {
        let passed = sent.is_challenged() || sent.is_released();
        return passed.then(|| "answered for a grant that the reader knows nothing of".to_owned());
    }
    for name in understood {
        let subject = if *name == sent.case.spelt {
            sent.case.person.to_owned()
        } else {
            match fold_username(name) {
                Ok(subject) => subject.as_str().to_owned(),
                Err(fault) => return Some(format!("the reader got the user name {name:?}, which {fault}")),
            }
        };
        let gated = if PEOPLE.contains(&subject.as_str()) {
            sent.is_challenged()
        } else {
            sent.is_released() // of someone without a second factor
        };
        if !gated {
            return Some(format!("not gated, though the reader understood a password grant of {name:?}"));
        }
        if let Some(other) = sent.subject.as_ref().filter(|gated| **gated != subject) {
            return Some(format!("gated for {other:?}, but the reader understood {name:?}"));
        }
    }
    None
}

/// How much the run proved.
#[derive(Debug, Default)]
struct Tally {
    /// Challenged, with all that the reader understood.
    gated: u64,
    /// A grant to the reader alone, and nothing of it got through the gateway.
    withheld: u64,
    /// No grant to the reader, with the gateway or without.
    harmless: u64,
}

impl Tally {
    fn count(&mut self, sent: &Sent, understood: &[String], understood_directly: &[String]) {
        match (sent.is_challenged(), understood.is_empty(), understood_directly.is_empty()) {
            (true, ..) => self.gated += 1,
            (false, true, false) => self.withheld += 1,
            _ => self.harmless += 1,
        }
    }

    fn assert_not_vacuous(&self, cases: u64) {
        assert!(self.gated >= cases / 10, "too few were gated: {self:?}");
        assert!(self.withheld >= cases / 10, "too few were grants to the reader alone: {self:?}");
    }
}
