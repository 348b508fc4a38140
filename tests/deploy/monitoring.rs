//! Alerts, dashboard, and what the operator reads about them.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use crate::{copied, deploy, ok, refused, root, yaml};

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

fn list(of: &Value) -> &[Value] {
    of.as_array().map_or(&[], Vec::as_slice)
}

/// The names of all alerts.
fn alerts() -> BTreeSet<String> {
    let rules = yaml("monitoring/alerts.yaml");
    let names = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"]));
    names.map(|rule| rule["alert"].as_str().expect("an alert").to_owned()).collect()
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet() {
    let tests = yaml("monitoring/alerts_test.yaml");
    let (mut fire, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for case in list(&tests["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"])) {
        let name = case["alertname"].as_str().expect("a name").to_owned();
        if list(&case["exp_alerts"]).is_empty() {
            quiet.insert(name)
        } else {
            fire.insert(name)
        };
    }
    assert_eq!(fire, alerts());
    assert_eq!(quiet, alerts());
}

/// Whoever is woken by an alert finds it by its name, and finds no alert that there is not.
#[test]
fn the_operator_reads_of_each_alert_and_of_no_other() {
    let text = fs::read_to_string(root().join("docs/operations.md")).expect("read");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `TfaGateway"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let named: BTreeSet<String> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(named, alerts());
    assert_eq!(named.len(), rows.len(), "one row for each");
    // Each says when, and what to do.
    assert!(rows.iter().all(|row| row.len() == 3 && row.iter().all(|cell| !cell.is_empty())), "{rows:?}");
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
