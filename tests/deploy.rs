//! What lies in `deploy/`, checked by the tools that read it: each check also refuses a copy that was broken on purpose.

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

fn copied(from: &Path, to: &Path) {
    ok(Command::new("cp").arg("-r").arg(from).arg(to));
}

/// Kubernetes's own rules for objects.
fn objects(mode: &str, of: &Path, values: Option<&str>) -> Command {
    let mut python = venv("python");
    python.arg(root().join("tests/clients/kubernetes_objects.py")).arg(mode).arg(of).args(values);
    python
}

fn parsed(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("JSON")
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds
}

/// The configuration in a `ConfigMap` is one that the gateway takes.
#[track_caller]
fn assert_configured(objects: &[Value]) {
    let text = objects
        .iter()
        .find_map(|object| object["data"]["gateway.toml"].as_str())
        .expect("a ConfigMap with gateway.toml");
    assert_valid(text);
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

/// Every container runs as nobody in particular, and may do nothing that it need not.
fn assert_restricted(objects: &[Value]) {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let gateway = &pod["containers"][0];
    assert_eq!(gateway["name"], "gateway");
    let security = &gateway["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    let runs_as = |of: &Value| of["runAsUser"].as_u64();
    assert_eq!(runs_as(security).or(runs_as(&pod["securityContext"])), Some(65532));
}

#[test]
fn the_chart_makes_objects_that_kubernetes_takes() {
    let chart = deploy("helm/tfa-gateway");
    let plain = parsed(&ok(&mut objects("install", &chart, None)));
    assert_eq!(
        kinds(&plain),
        [
            "ConfigMap",
            "Deployment",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "Service",
            "Service",
            "ServiceAccount"
        ]
    );
    assert_configured(&plain);
    assert_restricted(&plain);
    let values = r#"{"autoscaling":{"enabled":true},"serviceMonitor":{"enabled":true},
        "networkPolicy":{"ingressFrom":[{"namespaceSelector":{}}],"monitoringFrom":[{"namespaceSelector":{}}],
        "egress":[{"ports":[{"port":6379}]}]},"secretMounts":[{"name":"redis","mountPath":"/run/redis"}],
        "env":[{"name":"TFA_GATEWAY_LOG__LEVEL","value":"debug"}]}"#;
    let all = parsed(&ok(&mut objects("install", &chart, Some(values))));
    assert!(kinds(&all).contains(&"HorizontalPodAutoscaler") && kinds(&all).contains(&"ServiceMonitor"));
    let said = refused(&mut objects("install", &chart, Some(r#"{"replicaz":3}"#)));
    assert!(said.contains("replicaz"), "{said}");
    let dir = tempfile::tempdir().expect("a directory");
    copied(&chart, dir.path());
    let template = dir.path().join("tfa-gateway/templates/gateway.yaml");
    let text =
        fs::read_to_string(&template).expect("read").replace("containerPort: 8080", "containerPort: eighty");
    fs::write(template, text).expect("written");
    refused(&mut objects("install", &dir.path().join("tfa-gateway"), None));
}

#[test]
fn the_kustomizations_make_objects_that_kubernetes_takes() {
    let dir = tempfile::tempdir().expect("a directory");
    let built = |of: &str| {
        let text = ok(Command::new("kubectl").arg("kustomize").arg(deploy("kustomize").join(of)));
        let file = dir.path().join(of.replace('/', "-"));
        fs::write(&file, &text).expect("written");
        file
    };
    for (of, extra) in [
        ("base", &[][..]),
        ("overlays/sidecar", &[]),
        (
            "overlays/standalone",
            &["HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor"],
        ),
    ] {
        let file = built(of);
        let made = parsed(&ok(&mut objects("validate", &file, None)));
        assert!(extra.iter().all(|kind| kinds(&made).contains(kind)), "{of}: {:?}", kinds(&made));
        assert_configured(&made);
        assert_restricted(&made);
        let (_kept, bad) = broken(&file, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: 'yes'");
        refused(&mut objects("validate", &bad, None));
    }
    // In the pod with Drupal nobody but the gateway has a port.
    let sidecar = parsed(&ok(&mut objects("validate", &built("overlays/sidecar"), None)));
    let pod = sidecar.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let containers = pod["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    let drupal = containers.iter().find(|container| container["name"] == "drupal").expect("Drupal");
    assert!(drupal.get("ports").is_none(), "{drupal}");
}

#[test]
fn the_dockerfile_is_clean() {
    let file = deploy("Dockerfile");
    ok(venv("hadolint").arg(&file));
    let (_kept, bad) = broken(&file, "USER 65532:65532", "USER root\nRUN cd /tmp");
    refused(venv("hadolint").arg(&bad));
    // What the build needs is in its context, and nothing else.
    let ignored = fs::read_to_string(root().join(".dockerignore")).expect("read");
    for needed in ["Cargo.toml", "Cargo.lock", "askama.toml", "src"] {
        assert!(ignored.contains(&format!("!{needed}\n")), "{needed}");
    }
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
fn nginx_takes_its_snippet() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key) = self_signed(dir.path());
    let check = |snippet: &Path| {
        let text = fs::read_to_string(snippet).expect("read");
        let text =
            text.replace("/etc/ssl/site/site.pem", &certificate).replace("/etc/ssl/site/site.key", &key);
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
