//! The embedded store survives whatever ends the process that writes to it.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use tfa_gateway::{policy::lockout::Settlement, types::UnixTime};

use crate::stand::{START, Stand, StoreKind, accepted, present_at, run, totp};

/// Tells a copy of this test that it is the one to be killed, and where its files are.
const VICTIM: &str = "CONTRACT_CRASH_DIRECTORY";
/// So many accepted steps are waited for before it is killed.
const ACCEPTED_BEFORE_THE_END: usize = 40;

/// Accepts step after step and says so, until it is killed.
fn accept_until_killed(stand: &Stand) -> ! {
    run(&stand.opener(), async |store| {
        let mut out = std::io::stdout();
        for step in START / 30.. {
            let now = UnixTime::from_secs(step * 30);
            let code = totp(1).passcode_at(step);
            let settled = present_at(store, "alice", &code, now).await.expect("settled");
            if settled == accepted("f1") {
                writeln!(out, "accepted {step}").expect("written");
                out.flush().expect("flushed");
            }
        }
    });
    unreachable!("there is always a next step")
}

#[test]
fn what_was_accepted_before_a_crash_is_not_accepted_after_it() {
    if let Some(directory) = env::var_os(VICTIM) {
        accept_until_killed(&Stand::in_directory(directory.as_ref()));
    }
    let stand = Stand::new(StoreKind::Embedded);
    stand.enrol_alice();
    let mut victim = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "crash::what_was_accepted_before_a_crash_is_not_accepted_after_it", "--nocapture"])
        .env(VICTIM, stand.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a copy of this test");
    let output = BufReader::new(victim.stdout.take().expect("a pipe"));
    let mut accepted_steps = Vec::new();
    for line in output.lines() {
        let line = line.expect("text");
        // The test runner's own words may stand before ours.
        if let Some((_, step)) = line.split_once("accepted ") {
            accepted_steps.push(step.parse::<u64>().expect("a step"));
        }
        if accepted_steps.len() == ACCEPTED_BEFORE_THE_END {
            victim.kill().expect("killed");
        }
    }
    victim.wait().expect("ended");
    assert!(accepted_steps.len() >= ACCEPTED_BEFORE_THE_END);
    run(&stand.opener(), async |store| {
        for step in accepted_steps {
            let now = UnixTime::from_secs(step * 30);
            let again = present_at(store, "alice", &totp(1).passcode_at(step), now).await.expect("settled");
            assert!(!matches!(again, Settlement::Accepted { .. }), "step {step} was accepted again");
        }
    });
}
