//! The house rules that a program can hold: which module may know which, how long a file may grow, and
//! what has no place in code that decides over tokens.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const LINES_MAX: usize = 600;

/// The modules, lowest layer first. One that is not listed fails the test: it needs a place.
const LAYERS: &[&[&str]] = &[
    &["types"],
    &["factor", "oauth", "identity", "headers", "sealing"],
    &["policy"],
    &["step_up"],
    &["pem"], // Between 3 and 4: it reads files, for the adapters and faces above it.
    &["store", "upstream", "telemetry"],
    &["admin"],
    &["edge", "api", "portal"],
    &["app", "cli", "config", "main", "lib"],
];

/// One source file, and the module of the first level that it belongs to.
struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

impl Source {
    fn layer(&self) -> usize {
        layer(&self.module)
            .unwrap_or_else(|| panic!("{} has no layer: give it one here", self.path.display()))
    }

    /// Whether the whole file is a test module (`#[cfg(test)] mod tests;`).
    fn is_test(&self) -> bool {
        let names = self.path.strip_prefix(root()).expect("below the root").iter();
        names.into_iter().any(|name| name == "tests" || name == "tests.rs")
    }

    /// The code without comments, strings and test modules, line by line with its number.
    fn code(&self) -> Vec<(usize, String)> {
        if self.is_test() {
            return Vec::new();
        }
        let blanked = without_comments_and_strings(&self.text);
        let mut lines = Vec::new();
        let mut skipped_depth = None;
        let mut depth = 0_i32;
        let mut test_item = false;
        for (number, line) in blanked.lines().enumerate() {
            if skipped_depth.is_none() && line.trim_start().starts_with("#[cfg(test)]") {
                test_item = true;
            }
            if skipped_depth.is_none() && !test_item {
                lines.push((number + 1, line.to_owned()));
            }
            let before = depth;
            depth += balance(line);
            if test_item && (depth > before || line.contains('{')) {
                skipped_depth = (depth > before).then_some(before);
                test_item = false;
            } else if test_item && line.trim_end().ends_with(';') {
                test_item = false;
            }
            if skipped_depth.is_some_and(|outer| depth <= outer) {
                skipped_depth = None;
            }
        }
        lines
    }
}

fn balance(line: &str) -> i32 {
    line.chars().fold(0, |depth, c| match c {
        '{' => depth + 1,
        '}' => depth - 1,
        _ => depth,
    })
}

/// Blanks comments and the insides of strings and characters, keeping the lines.
fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let raw_hashes =
            rest.strip_prefix('r').map(|after| after.len() - after.trim_start_matches('#').len());
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) =
            raw_hashes.filter(|n| rest[1 + n..].starts_with('"') && !ends_in_word(&out))
        {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &rest[hashes + 2..];
            body.find(&end).map_or(rest.len(), |at| hashes + 2 + at + end.len())
        } else if c == '"' {
            string_length(rest)
        } else if c == '\'' {
            // A character; a lifetime has no closing quote.
            character_length(rest).unwrap_or(0)
        } else {
            0
        };
        if skipped == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    out
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !text.ends_with(" b")
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn character_length(text: &str) -> Option<usize> {
    let inner = &text[1..];
    if inner.starts_with('\\') {
        return inner[2..].find('\'').map(|end| end + 4);
    }
    let c = inner.chars().next()?;
    inner[c.len_utf8()..].starts_with('\'').then_some(2 + c.len_utf8())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        if entry.is_dir() && !name.starts_with('.') && name != "node_modules" && name != "target" {
            found.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let source = |path: PathBuf| {
        let first = path.strip_prefix(&src).expect("below src").iter().next().expect("a name");
        let module = first.to_str().expect("UTF-8").trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).expect("a source");
        Source { path, module, text }
    };
    rust_files(&src).into_iter().map(source).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The top-level modules that a file names: `crate::a`, `crate::{a, b::c}` and `super` paths that leave
/// the module, over several lines too.
fn imported(source: &Source) -> BTreeSet<String> {
    let code: String = source.code().into_iter().map(|(_, line)| line + "\n").collect();
    let mut modules = BTreeSet::new();
    let depth = source.path.strip_prefix(root().join("src")).expect("below src").components().count()
        - usize::from(source.path.ends_with("mod.rs"));
    let out_of_the_module = "super::".repeat(depth);
    for start in ["crate::", "tfa_gateway::", out_of_the_module.as_str()] {
        if start.is_empty() {
            continue;
        }
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            modules.extend(first_names(&code[at + start.len()..]));
        }
    }
    modules
}

/// Of `a::b` it is `a`; of `{a::{b, c}, d}` it is `a` and `d`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut depth = 0;
    let mut names = vec![name(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Fails with all findings, one a line.
fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n{}", findings.join("\n"));
}

fn lines_with<'a>(source: &'a Source, forbidden: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    source.code().into_iter().flat_map(move |(number, line)| {
        let found = forbidden.iter().filter(move |word| has_word(&line, word));
        let place = format!("{}:{number}", source.path.display());
        found.map(|word| format!("{place}: {word}")).collect::<Vec<_>>()
    })
}

/// Whether a line has a text that is not the middle of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = word.starts_with(char::is_alphabetic) && part_of_word(line[..at].chars().next_back());
        let after =
            word.ends_with(char::is_alphabetic) && part_of_word(line[at + word.len()..].chars().next());
        !before && !after
    })
}

#[test]
fn a_module_imports_lower_layers_only() {
    let mut findings = Vec::new();
    for source in sources() {
        for imported in imported(&source) {
            if imported == source.module || layer(&imported).is_none() {
                continue; // itself, or an item of the crate's root
            }
            let (own, other) = (source.layer(), layer(&imported).expect("a layer"));
            // The composition root and the use cases around it know each other; adapters and faces do not.
            if other > own || (other == own && own < LAYERS.len() - 1) {
                findings.push(format!("{}: {} imports {imported}", source.path.display(), source.module));
            }
        }
    }
    assert_none("a module imports lower layers only", &findings);
}

#[test]
fn policy_and_all_below_it_do_no_io() {
    let forbidden = [
        "async",
        "await",
        "tokio",
        "hyper",
        "redis",
        "reqwest",
        "rusqlite",
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
    ];
    let sources = sources();
    let pure = sources.iter().filter(|source| source.layer() <= 2);
    let findings: Vec<_> = pure.flat_map(|source| lines_with(source, &forbidden)).collect();
    assert_none("layers 0 to 2 are pure", &findings);
}

#[test]
fn the_protocol_names_no_adapter() {
    let forbidden = ["hyper", "hyper_util", "redis", "reqwest", "rusqlite", "tokio", "rustls"];
    let sources = sources();
    let step_up = sources.iter().filter(|source| source.module == "step_up");
    let findings: Vec<_> = step_up.flat_map(|source| lines_with(source, &forbidden)).collect();
    assert_none("step_up knows ports, not adapters", &findings);
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let mut findings = Vec::new();
    for dir in ["src", "tests"] {
        for path in rust_files(&root().join(dir)) {
            let lines = fs::read_to_string(&path).expect("a source").lines().count();
            if lines > LINES_MAX {
                findings.push(format!("{}: {lines} lines", path.display()));
            }
        }
    }
    assert_none("a file has 600 lines at most", &findings);
}

#[test]
fn no_line_is_wider_than_120_columns() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (number, line) in source.text.lines().enumerate() {
            let is_text = line.contains('"') || line.contains("http");
            if line.chars().count() > 120 && !is_text {
                findings.push(format!("{}:{}", source.path.display(), number + 1));
            }
        }
    }
    assert_none("a line has 120 columns at most", &findings);
}

#[test]
fn nothing_panics_on_purpose_outside_of_tests() {
    let forbidden = [".unwrap()", ".expect(", "todo!", "unimplemented!", "panic!", "dbg!"];
    let findings: Vec<_> =
        sources().iter().flat_map(|source| lines_with(source, &forbidden).collect::<Vec<_>>()).collect();
    assert_none("an error is a value", &findings);
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    let mut findings = Vec::new();
    for source in sources() {
        let code = without_comments_and_strings(&source.text);
        for (number, line) in code.lines().enumerate() {
            if line.contains("#[allow(") || line.contains("#![allow(") {
                findings.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none("say #[expect(…, reason = …)]", &findings);
}

#[test]
fn every_file_opens_with_its_purpose() {
    let silent = |source: &Source| !source.is_test() && !source.text.starts_with("//!");
    let findings: Vec<_> = sources()
        .iter()
        .filter(|source| silent(source))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none("a file opens with //!", &findings);
}

#[test]
fn no_module_is_a_drawer_for_odds_and_ends() {
    let banned = ["util", "utils", "common", "helper", "helpers", "misc"];
    let mut findings = Vec::new();
    for source in sources() {
        let below = source.path.strip_prefix(root()).expect("below the root");
        let names = below.iter().map(|name| name.to_str().expect("UTF-8").trim_end_matches(".rs"));
        findings.extend(
            names.filter(|name| banned.contains(name)).map(|name| format!("{}: {name}", below.display())),
        );
    }
    assert_none("a module is named after what it does", &findings);
}

#[test]
fn the_rules_see_through_comments_strings_and_tests() {
    let source = |text: &str| Source {
        path: root().join("src/policy/mod.rs"),
        module: "policy".to_owned(),
        text: text.to_owned(),
    };
    let seen = |text: &str, word: &str| lines_with(&source(text), &[word]).count();
    assert_eq!(seen("// async\n/* async */ let a = \"async\"; let b = r#\"async\"#;", "async"), 0);
    assert_eq!(seen("let quote = '\"'; async fn f<'a>() {}", "async"), 1);
    assert_eq!(
        seen("#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap() }\n}\nfn g() { y.unwrap() }", ".unwrap()"),
        1
    );
    assert_eq!(seen("fn redistribute() {}", "redis"), 0);

    let imports =
        imported(&source("use crate::{\n    factor::{self, totp},\n    types::X,\n};\nuse super::store::Y;"));
    assert_eq!(imports, ["factor", "store", "types"].map(str::to_owned).into());
}
