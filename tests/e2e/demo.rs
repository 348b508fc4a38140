//! `tfa-gateway demo`: what it prints can be pasted, and does what it says.

use std::process::{Child, Command};

use crate::support::{BINARY, PATIENCE, end, lines, quietly, spawn};

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

#[test]
fn the_lines_that_the_demo_prints_do_what_it_says() {
    let mut demo = Demo(spawn(Command::new(BINARY).args(["demo", "--listen", "127.0.0.1:0"])));
    let printed = lines(demo.0.stdout.take().expect("a pipe"));
    let mut curls = Vec::new();
    while curls.len() < 3 {
        let line = printed.recv_timeout(PATIENCE).expect("three lines to try");
        if line.trim_start().starts_with("curl ") {
            curls.push(line);
        }
    }
    let answers: Vec<String> =
        curls.iter().map(|line| quietly(Command::new("sh").args(["-c", line]))).collect();
    let [bob, challenge, alice] = answers.as_slice() else { unreachable!() };
    assert!(bob.starts_with("HTTP/1.1 200 ") && bob.contains("access_token"), "{bob}");
    assert!(challenge.starts_with("HTTP/1.1 401 "), "{challenge}");
    assert!(challenge.to_lowercase().contains("x-drupal-tfa: required"), "{challenge}");
    assert!(alice.starts_with("HTTP/1.1 200 ") && alice.contains("access_token"), "{alice}");
    let again = quietly(Command::new("sh").args(["-c", &curls[2]]));
    assert!(again.starts_with("HTTP/1.1 401 ") && !again.contains("access_token"), "{again}");
}
