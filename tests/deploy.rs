//! What lies in `deploy/`, checked by the tools that read it: each check also refuses a copy that was broken on purpose.

#[path = "deploy/containers.rs"]
mod containers;
#[path = "deploy/kubernetes.rs"]
mod kubernetes;
#[path = "deploy/monitoring.rs"]
mod monitoring;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deploy(file: &str) -> PathBuf {
    root().join("deploy").join(file)
}

fn venv(program: &str) -> Command {
    Command::new(root().join("tests/.work/venv/bin").join(program))
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

#[track_caller]
fn ok(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{said}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn refused(command: &mut Command) -> String {
    let output = run(command);
    assert!(!output.status.success(), "{command:?} finds nothing wrong");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A copy of a file with something replaced that must be there.
fn broken(file: &Path, good: &str, bad: &str) -> (TempDir, PathBuf) {
    let text = fs::read_to_string(file).expect("read");
    assert!(text.contains(good), "{good} is not in {}", file.display());
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join(file.file_name().expect("a name"));
    fs::write(&copy, text.replacen(good, bad, 1)).expect("written");
    (dir, copy)
}

/// What lies in a file of YAML.
fn yaml(file: &str) -> Value {
    let to_json = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    serde_json::from_str(&ok(venv("python").args(["-c", to_json]).arg(deploy(file)))).expect("JSON")
}

fn copied(from: &Path, to: &Path) {
    ok(Command::new("cp").arg("-r").arg(from).arg(to));
}

#[track_caller]
fn assert_valid(toml: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = dir.path().join("keys");
    let password = dir.path().join("password");
    fs::write(&password, "hunter2hunter2\n").expect("written");
    let toml = toml
        .replace("/etc/tfa-gateway/keys/tfa-gateway.keys", keys.to_str().expect("UTF-8"))
        .replace("/var/lib/tfa-gateway/tfa-gateway.keys", keys.to_str().expect("UTF-8"))
        .replace("/run/secrets/redis_password", password.to_str().expect("UTF-8"));
    let file = dir.path().join("gateway.toml");
    fs::write(&file, toml).expect("written");
    let gateway = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tfa-gateway"));
        command.args(arguments).arg("--config").arg(&file);
        command
    };
    ok(&mut gateway(&["keys", "generate"]));
    assert!(ok(&mut gateway(&["check-config"])).contains("valid"));
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_hardly_exposed() {
    let unit = deploy("tfa-gateway.service");
    let verify = |unit: &Path| {
        // The binary and the user are of the machine that it will run on.
        let (kept, copy) = broken(unit, "/usr/local/bin/tfa-gateway serve", "/bin/true serve");
        let output = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy));
        drop(kept);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let about_it = |said: &str| said.lines().filter(|line| line.contains("tfa-gateway")).count();
    assert_eq!(about_it(&verify(&unit)), 0, "{}", verify(&unit));
    let (_kept, bad) = broken(&unit, "ProtectSystem=strict", "ProtectSystem=sternly");
    assert!(about_it(&verify(&bad)) > 0);
    let security = |unit: &Path| {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=yes", "--threshold=20"]).arg(unit);
        command
    };
    ok(&mut security(&unit));
    let (_kept, open) = broken(&unit, "NoNewPrivileges=yes\nCapabilityBoundingSet=\n", "");
    refused(&mut security(&open));
}

#[test]
fn the_socket_is_one_that_systemd_takes() {
    // The service that it starts is looked for beside it.
    let (kept, _service) =
        broken(&deploy("tfa-gateway.service"), "/usr/local/bin/tfa-gateway serve", "/bin/true serve");
    let text = fs::read_to_string(deploy("tfa-gateway.socket")).expect("read");
    let copy = kept.path().join("tfa-gateway.socket");
    let verify = |text: &str| {
        fs::write(&copy, text).expect("written");
        let output = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = verify(&text);
    assert!(!said.contains("tfa-gateway"), "{said}");
    assert!(verify(&text.replace("ListenStream=0.0.0.0:8080", "ListenStream=8080x")).contains("tfa-gateway"));
    assert!(verify(&text.replace("NoDelay=yes", "NoDelayed=yes")).contains("tfa-gateway"));
}

#[test]
fn nginx_takes_its_snippet() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key) = self_signed(dir.path());
    let check = |snippet: &Path| {
        let text = fs::read_to_string(snippet).expect("read");
        // The check binds what it listens on: a port may be another's.
        let socket = dir.path().join("socket");
        let _ = fs::remove_file(&socket);
        assert!(text.contains("listen 8443 ssl;"));
        let text = text
            .replace("/etc/ssl/site/site.pem", &certificate)
            .replace("/etc/ssl/site/site.key", &key)
            .replace("listen 8443 ssl;", &format!("listen unix:{} ssl;", socket.display()));
        fs::write(dir.path().join("site.conf"), text).expect("written");
        let path = dir.path().display();
        let whole = format!(
            "pid {path}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; client_body_temp_path {path}/a; \
             proxy_temp_path {path}/b; fastcgi_temp_path {path}/c; uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;\n\
             include {path}/site.conf; }}\n"
        );
        fs::write(dir.path().join("nginx.conf"), whole).expect("written");
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.arg("-t").arg("-c").arg(dir.path().join("nginx.conf"));
        nginx
    };
    let snippet = deploy("nginx/tfa-gateway.conf");
    ok(&mut check(&snippet));
    let (_kept, bad) = broken(&snippet, "proxy_pass ", "proxy_past ");
    refused(&mut check(&bad));
}

#[test]
fn apache_takes_its_snippet() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key) = self_signed(dir.path());
    let check = |snippet: &Path| {
        let text = fs::read_to_string(snippet).expect("read");
        let text =
            text.replace("/etc/ssl/site/site.pem", &certificate).replace("/etc/ssl/site/site.key", &key);
        fs::write(dir.path().join("site.conf"), text).expect("written");
        let modules = [
            "mpm_event",
            "authz_core",
            "proxy",
            "proxy_http",
            "proxy_wstunnel",
            "headers",
            "socache_shmcb",
            "ssl",
            "rewrite",
        ]
        .iter()
        .fold(String::new(), |all, name| {
            all + &format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
        });
        let path = dir.path().display();
        let whole = format!(
            "ServerName a.test\nServerRoot {path}\nPidFile {path}/pid\nErrorLog {path}/log\nDefaultRuntimeDir {path}\n\
             {modules}Listen 127.0.0.1:8443\nInclude {path}/site.conf\n"
        );
        fs::write(dir.path().join("apache.conf"), whole).expect("written");
        let mut apache = Command::new("/usr/sbin/apache2");
        apache.arg("-t").arg("-f").arg(dir.path().join("apache.conf"));
        apache
    };
    let snippet = deploy("apache/tfa-gateway.conf");
    ok(&mut check(&snippet));
    let (_kept, bad) = broken(&snippet, "ProxyPass ", "ProxyPast ");
    refused(&mut check(&bad));
}

fn self_signed(dir: &Path) -> (String, String) {
    let [certificate, key] =
        ["site.pem", "site.key"].map(|name| dir.join(name).to_str().expect("UTF-8").to_owned());
    ok(Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=site.example", "-days", "2"])
        .args(["-out", &certificate, "-keyout", &key]));
    (certificate, key)
}
