//! The chart and the kustomizations: objects that Kubernetes takes, and what they are for.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{assert_valid, broken, copied, deploy, ok, refused, root, venv};

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

/// The only object of a kind, or the one of a name.
#[track_caller]
fn the<'a>(kind: &str, name: Option<&str>, objects: &'a [Value]) -> &'a Value {
    let is_it = |object: &&Value| {
        object["kind"] == kind && name.is_none_or(|name| object["metadata"]["name"] == name)
    };
    let found: Vec<_> = objects.iter().filter(is_it).collect();
    let [one] = found[..] else { panic!("{} of {kind} {name:?}", found.len()) };
    one
}

/// Whether an object with these labels is one that a selector means.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object().expect("a selector by labels");
    !wanted.is_empty() && wanted.iter().all(|(name, value)| labels[name] == *value)
}

/// The labels of the gateway's pods.
fn labels(objects: &[Value]) -> &Value {
    &the("Deployment", None, objects)["spec"]["template"]["metadata"]["labels"]
}

fn gateways_policy(objects: &[Value]) -> &Value {
    let is_it = |object: &&Value| {
        object["kind"] == "NetworkPolicy" && selects(&object["spec"]["podSelector"], labels(objects))
    };
    objects.iter().find(is_it).expect("a NetworkPolicy of the gateway's pods")
}

/// Gateways are spread over nodes, for the node that goes takes one of them.
fn assert_spread(objects: &[Value]) {
    let pod = &the("Deployment", None, objects)["spec"]["template"]["spec"];
    let constraint = &pod["topologySpreadConstraints"][0];
    assert_eq!(
        (&constraint["maxSkew"], &constraint["topologyKey"]),
        (&1.into(), &"kubernetes.io/hostname".into())
    );
    assert!(selects(&constraint["labelSelector"], labels(objects)), "{constraint}");
    let budget = the("PodDisruptionBudget", None, objects);
    assert!(selects(&budget["spec"]["selector"], labels(objects)), "{budget}");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
}

/// Two gateways at least, and more when they are busy.
fn assert_scaled(objects: &[Value]) {
    let scaler = &the("HorizontalPodAutoscaler", None, objects)["spec"];
    let deployment = the("Deployment", None, objects);
    assert_eq!(scaler["scaleTargetRef"]["kind"], "Deployment");
    assert!(deployment["spec"].get("replicas").is_none(), "it is the autoscaler that counts: {deployment}");
    assert_eq!(scaler["scaleTargetRef"]["name"], deployment["metadata"]["name"]);
    let (min, max) = (scaler["minReplicas"].as_u64(), scaler["maxReplicas"].as_u64());
    assert!(min >= Some(2) && max > min, "{scaler}");
    assert_eq!(scaler["metrics"][0]["resource"]["name"], "cpu");
    // A request that was given up is none that was served: the load balancer has to know first.
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    let path = "/readyz?exclude=store&exclude=upstream";
    assert_eq!(pod["containers"][0]["readinessProbe"]["httpGet"]["path"], path);
}

/// Prometheus finds the metrics: its monitor means one service, and a port that this has.
fn assert_watched(objects: &[Value]) {
    let monitor = &the("ServiceMonitor", None, objects)["spec"];
    let is_meant = |object: &&Value| {
        object["kind"] == "Service" && selects(&monitor["selector"], &object["metadata"]["labels"])
    };
    let meant: Vec<_> = objects.iter().filter(is_meant).collect();
    let [service] = meant[..] else { panic!("{} services", meant.len()) };
    assert_eq!(monitor["endpoints"][0]["path"], "/metrics");
    assert_eq!(service["spec"]["ports"][0]["name"], monitor["endpoints"][0]["port"]);
    assert!(selects(&json!({ "matchLabels": service["spec"]["selector"] }), labels(objects)), "{service}");
}

/// The gateway's ports are open to those alone who are named, and it goes nowhere but to those.
fn assert_shut_off(objects: &[Value]) {
    let policy = &gateways_policy(objects)["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let rules = policy["ingress"].as_array().expect("rules");
    let ports: Vec<_> = rules.iter().map(|rule| &rule["ports"][0]["port"]).collect();
    assert_eq!(ports, ["http", "private"]);
    assert!(
        rules.iter().all(|rule| rule["from"].as_array().is_some_and(|from| !from.is_empty())),
        "{policy}"
    );
    let ways_out = policy["egress"].as_array().expect("rules");
    // To names, over both protocols; and each other way has a port.
    assert_eq!(
        ways_out[0]["ports"],
        json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}])
    );
    assert!(ways_out.len() > 1 && ways_out.iter().all(|way| way["ports"][0]["port"].is_u64()), "{policy}");
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
    assert_configured(&all);
    assert_restricted(&all);
    assert_spread(&all);
    assert_scaled(&all);
    assert_watched(&all);
    assert_shut_off(&all);
    let deployment = the("Deployment", None, &all);
    let gateway = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(gateway["env"][0]["name"], "TFA_GATEWAY_LOG__LEVEL");
    let mounts = gateway["volumeMounts"].as_array().expect("mounts");
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/run/redis"), "{gateway}");
    // Left to itself: open to the namespace on the public port, and to nobody on the private one.
    assert_spread(&plain);
    let rules = &gateways_policy(&plain)["spec"]["ingress"];
    assert_eq!(rules, &json!([{"ports": [{"port": "http"}]}]));
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
    let standalone = parsed(&ok(&mut objects("validate", &built("overlays/standalone"), None)));
    assert_spread(&standalone);
    assert_scaled(&standalone);
    assert_watched(&standalone);
    assert_shut_off(&standalone);
    // Whoever reaches Drupal past the gateway gets past the second factor.
    let drupal = &the("NetworkPolicy", Some("drupal-from-tfa-gateway-only"), &standalone)["spec"];
    assert_eq!(drupal["policyTypes"], json!(["Ingress"]));
    assert!(selects(&drupal["podSelector"], &json!({ "app.kubernetes.io/name": "drupal" })), "{drupal}");
    let [rule] = &drupal["ingress"].as_array().expect("rules")[..] else { panic!("{drupal}") };
    let [from] = &rule["from"].as_array().expect("who")[..] else { panic!("{drupal}") };
    assert!(selects(&from["podSelector"], labels(&standalone)), "{drupal}");
    assert!(from.get("namespaceSelector").is_none() && from.get("ipBlock").is_none(), "{drupal}");
    // In the pod with Drupal nobody but the gateway has a port.
    let sidecar = parsed(&ok(&mut objects("validate", &built("overlays/sidecar"), None)));
    let pod = sidecar.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let containers = pod["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    let drupal = containers.iter().find(|container| container["name"] == "drupal").expect("Drupal");
    assert!(drupal.get("ports").is_none(), "{drupal}");
}
