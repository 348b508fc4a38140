//! Alerts, dashboard, and what the operator reads about them.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{copied, deploy, ok, refused, root};

#[test]
fn the_alerts_fire_when_they_should() {
    ok(Command::new("promtool").args(["check", "rules"]).arg(deploy("monitoring/alerts.yaml")));
    let tests = deploy("monitoring/alerts_test.yaml");
    ok(Command::new("promtool").args(["test", "rules"]).arg(&tests));
    let dir = tempfile::tempdir().expect("a directory");
    copied(&deploy("monitoring"), dir.path());
    let rules = dir.path().join("monitoring/alerts.yaml");
    let text =
        fs::read_to_string(&rules).expect("read").replace("config_is_current == 0", "config_is_current == 1");
    fs::write(rules, text).expect("written");
    refused(
        Command::new("promtool").args(["test", "rules"]).arg(dir.path().join("monitoring/alerts_test.yaml")),
    );
}

/// Alerts and dashboard ask for metrics that there are.
#[test]
fn every_metric_that_is_asked_for_is_exposed() {
    let exposed = tfa_gateway::telemetry::Metrics::new().text().expect("the metrics");
    let names: Vec<&str> = exposed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for file in ["monitoring/alerts.yaml", "monitoring/alerts_test.yaml", "monitoring/dashboard.json"] {
        let text = fs::read_to_string(deploy(file)).expect("read");
        let asked: Vec<&str> = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("tfa_gateway_"))
            .collect();
        assert!(!asked.is_empty(), "{file}");
        for name in asked {
            assert!(names.contains(&name), "{file}: {name} is not exposed");
        }
    }
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(deploy("monitoring/dashboard.json")).expect("read"))
            .expect("JSON");
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() >= 8));
    let documented = fs::read_to_string(root().join("docs/operations.md")).expect("read");
    for name in &names {
        let name = name.trim_start_matches("tfa_gateway_");
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(documented.contains(family), "docs/operations.md has no {family}");
    }
}
