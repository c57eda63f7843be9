"""As much of an API server as Helm asks for when a template looks a Secret up."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What the chart makes, by group.
KINDS = {
    "v1": ("Secret", "Service", "ServiceAccount"),
    "apps/v1": ("StatefulSet",),
    "policy/v1": ("PodDisruptionBudget",),
}
VERSION = {"major": "1", "minor": "37", "gitVersion": "v1.37.2"}
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "fake",
    "users": [{"name": "fake", "user": {}}],
}


def resources(group):
    """The kinds of a group."""
    listed = [
        {
            "name": f"{kind.lower()}s",
            "singularName": "",
            "namespaced": True,
            "kind": kind,
            "verbs": ["get"],
        }
        for kind in KINDS[group]
    ]
    return {"kind": "APIResourceList", "groupVersion": group, "resources": listed}


def groups():
    """All groups but the first, which has no name."""
    versions = [{"groupVersion": group, "version": "v1"} for group in KINDS if "/" in group]
    listed = [
        {
            "name": version["groupVersion"].partition("/")[0],
            "versions": [version],
            "preferredVersion": version,
        }
        for version in versions
    ]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def answer(path, secrets):
    """What is at a path: its status, and a document."""
    known = {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": groups(),
        **{f"/{'apis' if '/' in group else 'api'}/{group}": resources(group) for group in KINDS},
        **{
            f"/api/v1/namespaces/{place}/secrets/{name}": found
            for (place, name), found in secrets.items()
        },
    }
    if path in known:
        return 200, known[path]
    return 404, {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "NotFound",
        "code": 404,
    }


@contextmanager
def api_server(secrets, folder):
    """Runs one that has these Secrets, by namespace and name; gives the path of a kubeconfig for it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, document = answer(self.path.partition("?")[0], secrets)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    config = {
        **KUBECONFIG,
        "clusters": [{"name": "fake", "cluster": {"server": address}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    try:
        yield path
    finally:
        server.shutdown()
        server.server_close()
