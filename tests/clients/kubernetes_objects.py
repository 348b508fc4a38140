"""Validates Kubernetes objects of a YAML stream against the schemas of a Kubernetes version, and prints them as JSON.

  kubernetes_objects.py validate FILE        the objects of a file
  kubernetes_objects.py install CHART [VALUES_JSON]
                                             the objects that Helm sends to a cluster when it installs a chart: the cluster
                                             is played by this script, which takes what it is sent
"""
import asyncio
import http.server
import json
import pathlib
import sys
import tempfile
import threading

import kubernetes_validate
import yaml

VERSION = "1.31"
# Of operators: not among Kubernetes's own schemas.
FOREIGN = {"ServiceMonitor"}
KINDS = [
    ("", "v1", "ServiceAccount", "serviceaccounts"), ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Secret", "secrets"), ("", "v1", "Service", "services"), ("", "v1", "Namespace", "namespaces"),
    ("apps", "v1", "Deployment", "deployments"), ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
]


def validate(objects):
    for one in objects:
        if one["kind"] not in FOREIGN:
            kubernetes_validate.validate(one, VERSION, strict=True)


class Cluster(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    taken = []

    def log_message(self, *_):
        pass

    def say(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        path = self.path.split("?")[0].strip("/").split("/")
        groups = sorted({(group, version) for group, version, _, _ in KINDS if group})
        if path == ["version"]:
            self.say(200, {"major": "1", "minor": "31", "gitVersion": "v1.31.0"})
        elif path == ["api"]:
            self.say(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == ["apis"]:
            versions = [{"name": group, "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                         "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version}}
                        for group, version in groups]
            self.say(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": versions})
        elif path in (["api", "v1"],) or len(path) == 3 and path[0] == "apis":
            group, version = ("", "v1") if path[0] == "api" else (path[1], path[2])
            resources = [{"name": name, "singularName": "", "namespaced": True, "kind": kind,
                          "verbs": ["get", "list", "create", "update", "patch", "delete"]}
                         for g, v, kind, name in KINDS if (g, v) == (group, version)]
            self.say(200, {"kind": "APIResourceList", "groupVersion": f"{group}/{version}".strip("/"),
                           "resources": resources})
        elif path[-1] in {name for _, _, _, name in KINDS}:
            self.say(200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []})
        else:
            self.say(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})

    def take(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "json" not in self.headers["Content-Type"]:
            # Helm's own note of the release, as protobuf.
            self.say(201, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "release"}})
            return
        Cluster.taken.append(json.loads(body))
        self.say(201, Cluster.taken[-1])

    do_POST = do_PUT = do_PATCH = take


def install(chart, values):
    import helm_sdkpy

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as kubeconfig:
        yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "x", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        }, kubeconfig)
        kubeconfig.flush()
        config = helm_sdkpy.Configuration(namespace="default", kubeconfig=kubeconfig.name)
        asyncio.run(helm_sdkpy.Lint(config).run(chart))
        asyncio.run(helm_sdkpy.Install(config).run("site", chart, values=values, wait=False))
    # Helm keeps a note of its own for each release.
    return [one for one in Cluster.taken if one.get("type") != "helm.sh/release.v1"]


def main():
    if sys.argv[1] == "validate":
        objects = [one for one in yaml.safe_load_all(pathlib.Path(sys.argv[2]).read_text()) if one]
    else:
        objects = install(sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})
    validate(objects)
    print(json.dumps(objects))


main()
