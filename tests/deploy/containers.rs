//! The image and the compose file.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{assert_valid, broken, copied, deploy, ok, refused, root, run, venv, yaml};

#[test]
fn the_dockerfile_is_clean() {
    let file = deploy("Dockerfile");
    ok(venv("hadolint").arg(&file));
    let (_kept, bad) = broken(&file, "USER 65532:65532", "USER root\nRUN cd /tmp");
    refused(venv("hadolint").arg(&bad));
}

/// What docker sends to the build: what .dockerignore lets through, which is all that it names with a `!`.
fn build_context() -> TempDir {
    let ignored = fs::read_to_string(root().join(".dockerignore")).expect("read");
    let (all, exceptions) = ignored.split_once('\n').expect("lines");
    assert_eq!(all, "*");
    let context = tempfile::tempdir().expect("a directory");
    for line in exceptions.lines() {
        let path = Path::new(line.strip_prefix('!').expect("an exception"));
        let to = context.path().join(path.parent().expect("below the root"));
        fs::create_dir_all(&to).expect("made");
        copied(&root().join(path), &to);
    }
    context
}

/// What cargo has against a manifest before it builds: most of all that a target is named and has no file. (`cargo
/// metadata` passes over that in silence.) Nothing is downloaded, which it may complain of as well.
fn faults_of_the_manifest(of: &Path) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = run(cargo.args(["fetch", "--offline", "--locked"]).current_dir(of));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let has_none = output.status.success() || said.contains("failed to download");
    if has_none { String::new() } else { said }
}

/// What a `COPY` takes, which has the same name where it comes to lie: below the working directory.
fn sources(copy: &str) -> Vec<&str> {
    let mut words: Vec<&str> = copy.split_whitespace().collect();
    let to = words.pop().expect("a destination");
    assert!(to == "./" || words == [to], "{copy}");
    words
}

#[test]
fn the_dockerfile_builds_from_what_it_is_sent() {
    let context = build_context();
    let has = |file: &Path| context.path().join(file).exists();
    assert_eq!(faults_of_the_manifest(context.path()), "");
    // What the code includes of other directories is there, too.
    let mut files = vec![context.path().join("src")];
    while let Some(file) = files.pop() {
        if file.ends_with("tests") || file.ends_with("tests.rs") {
            continue;
        }
        if file.is_dir() {
            files.extend(fs::read_dir(&file).expect("read").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for included in text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(has(&file.parent().expect("a directory").join(included)), "{included}");
        }
    }
    // The layer with the dependencies alone.
    let text = fs::read_to_string(deploy("Dockerfile")).expect("read").replace("\\\n", "");
    let (before, rest) = text.split_once("\nRUN ").expect("a first step");
    let (made, _) = rest.split_once("&& cargo build").expect("the build");
    let layer = tempfile::tempdir().expect("a directory");
    for file in before.lines().filter_map(|line| line.strip_prefix("COPY ")).flat_map(sources) {
        copied(&context.path().join(file), layer.path());
    }
    ok(Command::new("sh").args(["-ec", made]).current_dir(layer.path()));
    assert_eq!(faults_of_the_manifest(layer.path()), "");
    fs::remove_file(layer.path().join("tests/otlp.rs")).expect("removed");
    let said = faults_of_the_manifest(layer.path());
    assert!(said.contains("can't find `otlp` test"), "{said}");
}

#[test]
fn the_compose_file_has_a_configuration_that_the_gateway_takes() {
    let file = deploy("compose.yaml");
    let mut lint = venv("yamllint");
    ok(lint.args(["-d", "{extends: default, rules: {line-length: disable, document-start: disable, braces: disable, brackets: disable}}"]).arg(&file));
    let text = fs::read_to_string(&file).expect("read");
    let (_, toml) = text.split_once("content: |\n").expect("the configuration");
    let toml: String = toml
        .lines()
        .take_while(|line| line.starts_with("      "))
        .map(|l| l.trim().to_owned() + "\n")
        .collect();
    assert_valid(&toml);
    for service in ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true"] {
        assert_eq!(text.matches(service).count(), 2, "{service}");
    }
}

/// A container sees the file's own mode, and runs as nobody who owns it.
#[test]
fn the_containers_can_read_the_password_and_others_on_the_machine_cannot() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("deploy")).expect("made");
    let text = fs::read_to_string(deploy("compose.yaml")).expect("read");
    let step = text.lines().find(|line| line.contains("openssl rand")).expect("the step");
    ok(Command::new("sh").args(["-ec", step.trim_start_matches('#')]).current_dir(dir.path()));
    let compose = yaml("compose.yaml");
    let named = compose["secrets"]["redis_password"]["file"].as_str().expect("a path");
    let file = dir.path().join("deploy").join(named);
    let mode = |of: &Path| fs::metadata(of).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().expect("a directory"))), (0o444, 0o700));
    assert!(fs::metadata(&file).expect("it is there").len() >= 64);
}

#[test]
fn the_redis_of_the_compose_file_does_not_start_without_a_password() {
    let dir = tempfile::tempdir().expect("a directory");
    let (secret, socket) = (dir.path().join("password"), dir.path().join("redis"));
    let compose = yaml("compose.yaml");
    let [shell, option, script] = &compose["services"]["redis"]["command"].as_array().expect("a list")[..]
    else {
        panic!("{compose}")
    };
    assert_eq!((shell, option), (&"sh".into(), &"-c".into()));
    // Compose makes one dollar of two; the port and the directory are those of the test.
    let script = script
        .as_str()
        .expect("a text")
        .replace("$$", "$")
        .replace("/run/secrets/redis_password", secret.to_str().expect("UTF-8"))
        .replace(
            "exec redis-server ",
            &format!("exec redis-server --port 0 --unixsocket {} ", socket.display()),
        );
    let command = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(dir.path());
        shell
    };
    assert!(refused(&mut command()).contains("cannot read it"));
    fs::write(&secret, "\n").expect("written");
    assert!(refused(&mut command()).contains("is empty"));

    fs::write(&secret, "hunter2hunter2\n").expect("written");
    let mut redis = Ending(command().stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut said = BufReader::new(redis.0.stdout.take().expect("a pipe")).lines();
    assert!(said.any(|line| line.expect("UTF-8").contains("ready to accept connections")));
    let ping = |more: &[&str]| ok(Command::new("redis-cli").arg("-s").arg(&socket).args(more).arg("PING"));
    let stranger = ping(&[]);
    assert!(stranger.starts_with("NOAUTH"), "{stranger}");
    assert_eq!(ping(&["--no-auth-warning", "-a", "hunter2hunter2"]), "PONG\n");
}

/// A process that ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
