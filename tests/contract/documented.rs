//! `docs/redis.md` is a promise to a site's own code: its PHP makes the gateway's keys.

use std::{fs, process::Command};

use crate::{stand::subject, support::quietly};

#[test]
fn the_documented_php_finds_the_subject_that_the_gateway_finds() {
    let documented = include_str!("../../docs/redis.md");
    let (_, code) = documented.split_once("```php\n").expect("PHP");
    let (function, _) = code.split_once("$key =").expect("the function before its use");
    let names = [
        "alice",
        "ALICE",
        "Álice",
        "a\u{301}lice",
        "ａｌｉｃｅ",
        "alıce",
        "ALİCE",
        " alice ",
        "alice\u{a0}",
        "al\u{ad}ice",
        "al\u{200b}ice",
        "ⓐⓛⓘⓒⓔ",
        "\u{feff}alice",
        "straße",
        "STRAẞE",
        "Ærø",
        "Łódź",
        "ﬁnn",
        "ſam",
        "đorđe",
        "Marü",
        "Mary",
        "Jessica  Müller",
        "renée",
        "o'neill-2@example.org",
        "Gal·la",
        "x²",
    ];
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("subjects.php");
    let asked = serde_json::json!(names).to_string();
    let ask = format!(
        "foreach (json_decode('{}') as $n) echo tfa_subject($n), \"\\n\";",
        asked.replace('\'', "\\'")
    );
    fs::write(&script, format!("<?php\n{function}\n{ask}")).expect("written");
    let found = quietly(Command::new("php").arg(&script));
    let expected: Vec<String> = names.iter().map(|name| subject(name).to_string()).collect();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}
