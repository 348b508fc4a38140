//! Who may call, and who may not.

use std::process::Command;

use super::*;
use crate::support::{BINARY, get, quietly, site::wait_until};

fn call(stage: &Stage, method: &str, path: &str, headers: &str) -> Response {
    exchange(stage.gateway().admin(), &request(method, path, headers, None)).expect("an answer")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn only_a_token_that_is_known_opens_and_only_as_far_as_it_may() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let tokens = make_tokens(
        &mut stage,
        &[("all", "[\"read\", \"write\"]"), ("monitor", "[\"read\"]"), ("robot", "[\"write\"]")],
    );
    stage.serve();
    let [all, monitor, robot] = tokens.as_slice() else { panic!("three tokens") };
    let unknown = stage.config.run(&["api-token", "unknown", "--json"]).json()["token"].clone();
    let unknown = unknown.as_str().expect("a token");
    let challenge = |headers: &str, status: u16, error: &str| {
        for (method, path) in [("GET", "/subjects"), ("POST", "/subjects/alice/reset"), ("GET", "/nowhere")] {
            let answer = call(&stage, method, path, headers);
            problem(&answer, status);
            let wanted = format!("Bearer realm=\"tfa-gateway\"{error}");
            assert_eq!(answer.header("www-authenticate"), Some(wanted.as_str()), "{headers}: {answer:?}");
        }
    };
    challenge("", 401, "");
    challenge(&bearer(unknown), 401, ", error=\"invalid_token\"");
    challenge(&bearer(&all[..40]), 401, ", error=\"invalid_token\"");
    challenge("Authorization: Bearer\r\n", 401, ", error=\"invalid_request\"");
    challenge(&format!("Authorization: Basic {all}\r\n"), 401, ", error=\"invalid_request\"");
    challenge(&format!("{}{}", bearer(all), bearer(all)), 400, ", error=\"invalid_request\"");
    challenge(&format!("X-Authorization: Bearer {all}\r\n"), 401, "");
    problem(&call(&stage, "GET", &format!("/subjects?access_token={all}"), ""), 401);

    for (token, method, path, status) in [
        (all, "GET", "/subjects", 200),
        (all, "POST", "/subjects/alice/unlock", 200),
        (monitor, "GET", "/subjects/alice", 200),
        (monitor, "GET", "/audit", 200),
        (monitor, "POST", "/subjects/alice/unlock", 403),
        (monitor, "DELETE", "/subjects/alice/factors", 403),
        (robot, "POST", "/subjects/alice/unlock", 200),
        (robot, "GET", "/subjects/alice", 403),
    ] {
        let answer = call(&stage, method, path, &bearer(token));
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        if status == 403 {
            problem(&answer, 403);
            assert!(answer.header("www-authenticate").expect("a challenge").contains("insufficient_scope"));
        }
    }
    let trail = stage.config.run(&["audit", "--json"]).ok();
    assert_eq!(trail.matches("api:all").count(), 1, "{trail}");
    assert_eq!(trail.matches("api:robot").count(), 1, "{trail}");
    assert_eq!(trail.lines().count(), 2, "{trail}");
}

#[test]
fn many_wrong_tokens_keep_nobody_out_who_has_a_right_one() {
    let mut desk = Desk::on(StoreKind::Embedded);
    let wrong = (desk.address(), request("GET", "/subjects", &bearer(&"x".repeat(49)), None));
    let right = (desk.address(), desk.request("GET", "/subjects", None));
    let requests: Vec<_> = std::iter::repeat_n(wrong, 60).chain(std::iter::repeat_n(right, 4)).collect();
    for answers in [in_parallel(&requests), in_parallel(&requests)] {
        for answer in &answers[..60] {
            problem(answer, if answer.status == 429 { 429 } else { 401 });
        }
        assert!(answers[60..].iter().all(|answer| answer.status == 200));
    }
    let printed = desk.stage.stop_gateway();
    assert!(printed.contains("it is not known who calls") && !printed.contains("xxxxxxxx"), "{printed}");
}

/// How many failures had no line of their own is said with the next one that has, by whichever configuration.
#[test]
fn what_was_tried_before_a_reload_counts_after_it() {
    let mut desk = Desk::on(StoreKind::Embedded);
    let wrong = (desk.address(), request("GET", "/subjects", &bearer(&"x".repeat(49)), None));
    let answers = in_parallel(&vec![wrong.clone(); 60]);
    let untold = answers.iter().filter(|answer| answer.status == 429).count();
    assert!(untold > 0, "all had a place");
    desk.stage.config.set_text("messages.required", "Hello, your code");
    desk.stage.config.write();
    desk.stage.gateway().signal(rustix::process::Signal::HUP);
    wait_until("it is taken over", || {
        let metrics = exchange(desk.address(), &get("/metrics")).expect("an answer").text();
        metrics.contains("tfa_gateway_config_reloads_total{result=\"taken_over\"} 1\n")
    });
    wait_until("there is a place again", || {
        exchange(desk.address(), &wrong.1).expect("an answer").status == 401
    });
    let printed = desk.stage.stop_gateway();
    let told = printed.split("untold=").skip(1).map(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest[..digits].parse::<usize>().expect("a number")
    });
    assert!(told.sum::<usize>() >= untold, "{untold} are not in {printed}");
}

#[test]
fn what_is_read_with_get_is_asked_for_with_head() {
    let desk = Desk::on(StoreKind::Embedded);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--head", "--max-time", "30", "--header", bearer(&desk.token).trim_end()]);
    let printed = quietly(curl.arg(format!("http://{}/api/v1/subjects", desk.address())));
    assert!(printed.starts_with("HTTP/1.1 200 OK") && !printed.contains("next_cursor"), "{printed}");
}

#[test]
fn the_api_is_not_there_until_somebody_may_call() {
    let stage = Stage::serving(StoreKind::Embedded);
    for path in ["/subjects", "/openapi.json", ""] {
        assert_eq!(call(&stage, "GET", path, "").status, 404);
    }
}

#[test]
fn the_public_listener_knows_nothing_of_it() {
    let desk = Desk::on(StoreKind::Embedded);
    let answer = desk.stage.send_raw(&desk.request("GET", "/subjects", None));
    assert_eq!(answer.json()["echo"]["target"], "/api/v1/subjects", "the upstream has answered: {answer:?}");
}

#[test]
fn a_token_is_made_with_the_lines_to_paste() {
    let stage = Stage::prepared(StoreKind::Embedded);
    let printed = stage.config.run(&["api-token", "help-desk", "--read-only"]).ok();
    let token = printed.lines().next().expect("a token");
    assert!(token.starts_with("tfagw_") && token.len() == 49, "{token}");
    let lines = printed.split_once("[[admin.tokens]]").expect("the lines").1;
    assert!(lines.contains("name = \"help-desk\"") && lines.contains("may = [\"read\"]"), "{lines}");
    assert!(!lines.contains(token), "{lines}");
    let file = stage.config.dir().join("pasted.toml");
    let least = "upstream.url = 'http://127.0.0.1:1'\nstore.url = 'embedded:x.db'\n[[admin.tokens]]";
    std::fs::write(&file, format!("{least}{lines}")).expect("written");
    quietly(Command::new(BINARY).args(["check-config", "--config"]).arg(file));
    assert!(stage.config.run(&["api-token", "help desk"]).refused().contains("must be 1 to 64 letters"));
}
