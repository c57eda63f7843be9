"""The peers: how their clients and servers are started, and which versions they are.

All clients share one command line and print one JSON line a case; all servers print their address.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import REPO, TOOLS

HERE = Path(__file__).resolve().parent
PROGRAMS = TOOLS / "interop"
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
JAVA += ["-cp", f"{PROGRAMS}/java/classes:{PROGRAMS}/java/lib/*"]

# What a server's line begins with that tells its port: a port of the cases says READY, the official
# Go server logs that it listens.
LISTENS = re.compile(r"^(?:READY |.*interop server listening on )\S*:(\d+)$")


@dataclass(frozen=True)
class Peer:
    """One gRPC implementation."""

    # None: it is only a server.
    client: list | None
    server: Callable
    # Where its version is pinned, or a program that tells, and what stands before it there.
    pin: tuple
    programs: str

    @property
    def version(self):
        """The version that is installed."""
        path, before = self.pin
        if not isinstance(path, str):
            told = subprocess.run(path, capture_output=True, text=True, check=True)
            return re.search(rf"{before}([0-9.]+)", told.stderr + told.stdout).group(1)
        return re.search(rf"{before}([0-9.]+)", (REPO / path).read_text()).group(1)


def with_tls_flags(*argv):
    """A server with the flags of the ports."""
    return lambda cert, key: [
        *argv,
        *(["--tls-cert-file", cert, "--tls-key-file", key] if cert else []),
    ]


def go_server(cert, key):
    """The official server."""
    argv = ["env", "GRPC_GO_LOG_SEVERITY_LEVEL=info", PROGRAMS / "go-server", "--port=0"]
    if cert:
        argv += ["--use_tls", f"--tls_cert_file={cert}", f"--tls_key_file={key}"]
    return argv


def python(program):
    """A program of the port to Python."""
    path = f"PYTHONPATH={PROGRAMS}/python"
    return ["env", path, TOOLS / "venv/bin/python", HERE / f"python/{program}.py"]


def node(program):
    """A program of the port to JavaScript."""
    return ["env", f"NODE_PATH={PROGRAMS}/js/node_modules", "node", HERE / f"js/{program}.js"]


# By the names in the table.
PEERS = {
    "grpc-go": Peer(
        [
            *("env", f"GO_CLIENT={PROGRAMS}/go-client", f"GO_OURS={PROGRAMS}/go-ours"),
            *("python3", HERE / "go/client.py"),
        ],
        go_server,
        ("scripts/interop/go/go.mod", r"google\.golang\.org/grpc v"),
        "the official client and server",
    ),
    "c-core": Peer(
        python("client"),
        with_tls_flags(*python("server")),
        ("scripts/e2e/requirements.txt", "grpcio=="),
        "a port of the cases, on Python's grpcio",
    ),
    "grpc-js": Peer(
        node("client"),
        with_tls_flags(*node("server")),
        ("scripts/interop/js/package.json", '@grpc/grpc-js": "'),
        "a port of the cases",
    ),
    "grpc-java": Peer(
        [*JAVA, "io.grpc.testing.integration.Interop", "client"],
        with_tls_flags(*JAVA, "io.grpc.testing.integration.Interop", "server"),
        ("scripts/interop/java/pom.xml", r"grpc-interop-testing</artifactId>\s*<version>"),
        "the official cases and service, all cases in one JVM",
    ),
    "tonic": Peer(
        [PROGRAMS / "tonic", "client"],
        with_tls_flags(PROGRAMS / "tonic", "server"),
        ("Cargo.lock", r'name = "tonic"\nversion = "'),
        "a port of the cases",
    ),
    "grpclib": Peer(
        None,
        with_tls_flags(*python("grpclib_server")),
        ("scripts/e2e/requirements.txt", "grpclib=="),
        "a port of the service",
    ),
    "nginx": Peer(
        None,
        with_tls_flags(*python("nginx_server"), "--backend", PROGRAMS / "go-server"),
        (["nginx", "-v"], "nginx/"),
        "passes every call on to the official server of grpc-go",
    ),
}
CLIENTS = [name for name, peer in PEERS.items() if peer.client]
