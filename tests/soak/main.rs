//! Mixed traffic with random faults for a set time: `make soak`. The books must balance, and memory stay flat.
//!
//! Every token that a client was given is in the gateway's audit trail as released, and no other one is; no code was
//! accepted twice; what was asked for after a fault was answered.

use std::{
    collections::HashSet,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

#[path = "../e2e/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the end-to-end tests, which need more of it"
)]
mod support;

use support::{PATIENCE, Passcodes, Stage, StoreKind, TokenRequest, exchange, get};

/// Clients that ask without a pause.
const CLIENTS: u64 = 8;
/// Memory that may be taken once everything has been done some times. KiB.
const GROWTH_KIB_MAX: u64 = 8 * 1024;

/// A generator of numbers that need not be good, and are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the clients have seen.
#[derive(Default)]
struct Books {
    with_factor: AtomicU64,
    without_factor: AtomicU64,
    refused: AtomicU64,
    asked: AtomicU64,
    /// Subject and time step of every code that was accepted: in months, two steps have the same code.
    accepted: Mutex<HashSet<(String, u64)>>,
}

impl Books {
    fn answer(&self, subject: &str, step: Option<u64>, status: u16, has_token: bool) {
        self.asked.fetch_add(1, Relaxed);
        match (has_token, step) {
            (false, _) => assert!(matches!(status, 400 | 401 | 502 | 503 | 504), "{status}"),
            (true, None) => drop(self.without_factor.fetch_add(1, Relaxed)),
            (true, Some(step)) => {
                self.with_factor.fetch_add(1, Relaxed);
                let is_new = self.accepted.lock().expect("no panic").insert((subject.to_owned(), step));
                assert!(is_new, "a code of {subject} was accepted twice");
            }
        }
        if !has_token {
            self.refused.fetch_add(1, Relaxed);
        }
    }
}

fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("the line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Breaks something for up to a second and a half.
fn break_something(stage: &mut Stage, random: &mut Random) {
    let a_while = Duration::from_millis(random.below(1500));
    if random.below(3) == 0 {
        stage.upstream.freeze();
        thread::park_timeout(a_while);
        stage.upstream.thaw();
        return;
    }
    let file = stage.config.dir().join("gateway.db");
    let Some(redis) = &mut stage.redis else {
        // Another process holds it.
        let other = rusqlite::Connection::open(file).expect("the store's file");
        other.busy_timeout(PATIENCE).expect("set");
        other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
        thread::park_timeout(a_while);
        return other.execute_batch("ROLLBACK").expect("unlocked");
    };
    match random.below(4) {
        0 => {
            redis.freeze();
            thread::park_timeout(a_while);
            redis.thaw();
        }
        1 => {
            redis.kill();
            thread::park_timeout(a_while);
            redis.restart();
        }
        2 => drop(redis.cli(&["CLIENT", "KILL", "TYPE", "normal"])),
        _ => drop(redis.cli(&["SCRIPT", "FLUSH"])),
    }
}

#[test]
#[ignore = "it takes as long as it is given: make soak"]
fn the_books_balance_and_memory_stays_flat_on_redis() {
    the_books_balance_and_memory_stays_flat(StoreKind::Redis);
}

#[test]
#[ignore = "it takes as long as it is given: make soak"]
fn the_books_balance_and_memory_stays_flat_on_the_embedded_store() {
    the_books_balance_and_memory_stays_flat(StoreKind::Embedded);
}

fn the_books_balance_and_memory_stays_flat(store: StoreKind) {
    let (secs, seed) = (from_env("SOAK_SECS", 60), from_env("SOAK_SEED", 1) | 1);
    let mut stage = Stage::prepared(store);
    let clock = stage.clock.clone();
    let subjects: Vec<(String, Passcodes)> = (0..4)
        .map(|n| {
            let name = format!("alice{n}");
            let person = stage.enrol(&name);
            (name, person.passcodes)
        })
        .collect();
    stage.config.set("store.timeout_ms", "300");
    stage.config.set("upstream.response_timeout_ms", "2000");
    stage.config.set_text("audit.to", "file");
    stage.config.set_text("audit.file", "audit.log");
    stage.config.set("lockout.failures_max", "100");
    stage.serve();
    let address = stage.gateway().address();
    let pid = stage.gateway().id();
    let (books, is_over) = (Books::default(), AtomicBool::new(false));
    let warm = AtomicU64::new(0);

    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (books, is_over, subjects, clock) = (&books, &is_over, &subjects, &clock);
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_mul(client + 7) | 1);
                while !is_over.load(Relaxed) {
                    let at = usize::try_from(random.below(subjects.len() as u64)).expect("small");
                    let (name, passcodes) = &subjects[at];
                    let now = clock.now();
                    let (right, step) = (passcodes.at(now), now / 30);
                    let (subject, request, presented) = match random.below(6) {
                        0 => ("bob", TokenRequest::password("bob", "hunter22"), None),
                        1 => ("bob", TokenRequest::password("bob", "wrong"), None),
                        2 => (name.as_str(), TokenRequest::password(name, "passw0rd"), Some(None)),
                        3 => (
                            name.as_str(),
                            TokenRequest::password(name, "passw0rd").code("000000"),
                            Some(None),
                        ),
                        _ => (
                            name.as_str(),
                            TokenRequest::password(name, "passw0rd").code(&right),
                            Some(Some(step)),
                        ),
                    };
                    // The gateway is there all the time: an answer it must be.
                    let answer = exchange(address, &request.bytes()).expect("an answer");
                    let has_token = answer.text().contains("access_token");
                    match presented {
                        None => books.answer(subject, None, answer.status, has_token),
                        Some(None) => assert!(!has_token, "{subject} got a token without a code: {answer:?}"),
                        Some(step) => books.answer(subject, step, answer.status, has_token),
                    }
                    if random.below(20) == 0 {
                        let _ = exchange(address, &get("/some/page"));
                    }
                }
            });
        }
        // Faults, one after the other, and the end.
        let mut random = Random(seed);
        let start = Instant::now();
        let mut rounds = 0;
        while start.elapsed() < Duration::from_secs(secs) {
            thread::park_timeout(Duration::from_millis(500 + random.below(1000)));
            break_something(&mut stage, &mut random);
            rounds += 1;
            if rounds == 5 {
                warm.store(memory_kib(pid), Relaxed);
            }
        }
        is_over.store(true, Relaxed);
    });

    let (before, after) = (warm.load(Relaxed), memory_kib(pid));
    let dir = stage.config.dir().to_owned();
    stage.stop_gateway();
    let written = fs::read_to_string(dir.join("audit.log")).expect("the audit log");
    let count = |outcome: &str| written.matches(&format!("\"outcome\":\"{outcome}\"")).count() as u64;
    let released = (count("released_with_factor"), count("released_without_factor"));
    let given = (books.with_factor.load(Relaxed), books.without_factor.load(Relaxed));
    println!(
        "{} requests, {given:?} tokens given with and without a factor, {released:?} released, memory {before} -> {after} KiB",
        books.asked.load(Relaxed)
    );
    assert_eq!(given, released, "tokens given are tokens released");
    assert!(given.0 > 0 && given.1 > 0 && books.refused.load(Relaxed) > 0, "nothing much was done");
    if before > 0 {
        assert!(after < before + GROWTH_KIB_MAX, "memory grew from {before} to {after} KiB");
    }
}
