//! The document that describes the API, held against the API by schemathesis.

use std::{path::Path, process::Command};

use super::*;

on_both_stores! {
    fn the_api_answers_as_its_document_says(store: StoreKind) {
        let mut desk = Desk::on(store);
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let seed = std::env::var("SCHEMATHESIS_SEED").unwrap_or_else(|_| "1".to_owned());
        let mut run = Command::new(tests.join(".work/venv/bin/schemathesis"));
        run.arg("--config-file")
            .arg(tests.join("clients/schemathesis.toml"))
            .arg("run")
            .arg(format!("http://{}/api/v1/openapi.json", desk.address()))
            .args(["--header", &format!("Authorization: Bearer {}", desk.token)])
            .args(["--checks", "all", "--max-examples", "100", "--continue-on-failure", "--no-color"])
            .args(["--seed", &seed, "--generation-database", "none"])
            .current_dir(desk.stage.config.dir());
        let ended = run.output().expect("schemathesis runs: tests/setup.sh installs it");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{said}\n{}", String::from_utf8_lossy(&ended.stderr));
        assert!(said.contains("16 selected / 16 total"), "all but the document itself:\n{said}");
        let printed = desk.stage.stop_gateway();
        assert!(!printed.contains("ERROR") && !printed.contains("panicked"), "{printed}");
    }
}

#[test]
fn the_document_needs_no_token_and_may_not_be_kept() {
    let desk = Desk::on(StoreKind::Embedded);
    let answer = exchange(desk.address(), &request("GET", "/openapi.json", "", None)).expect("an answer");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    assert_eq!(answer.json()["openapi"], "3.1.0");
}
