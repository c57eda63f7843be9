"""Hubs on loopback that are started with the flags that the chart renders."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil

from chart import NAMESPACE
from harness import DIRECT, check, command, eventually, free_ports, logged, succeed

# Until hubs know each other.
ONE_WITHIN_S = 20
LISTENS = {"--listen": 0, "--admin-listen": 1, "--peer-listen": 2}
AUTH = """\
[[agents]]
id = "site"
token_sha256 = "{agent}"
names = ["*"]

[[callers]]
id = "all"
token_sha256 = "{caller}"
names = ["*"]
"""


class Hubs:
    """As many as the chart has."""

    def __init__(self, world, rendered):
        self.world, self.rendered = world, rendered
        count = rendered.set["spec"]["replicas"]
        ports = free_ports(count * len(LISTENS))
        self.ports = [ports[at::count] for at in range(count)]
        self.files = world.sockets / f"files-{self.ports[0][0]}"
        self.is_tls = "--tls" in rendered.args
        self.is_strict = bool(rendered.flag("--auth-file"))
        self.etcd = None
        self.write_files()

    def write_files(self):
        """What the Secrets have."""
        for volume in self.rendered.pod["volumes"]:
            (self.files / volume["name"]).mkdir(parents=True)
        for name in ("tls", "peer-tls"):
            if (self.files / name).exists():
                make_certificate(self.files / name)
        for who in ("agent", "caller"):
            (self.files / f"{who}.token").write_text(f"token of the {who}\n")
        if path := self.rendered.flag("--auth-file"):
            hashes = {
                who: hashlib.sha256(f"token of the {who}".encode()).hexdigest()
                for who in ("agent", "caller")
            }
            self.at(path).write_text(AUTH.format(**hashes))
        if path := self.rendered.flag("--peer-token-file"):
            token = base64.b64decode(self.rendered.secret("-peers")["data"]["token"])
            self.at(path).write_bytes(token)

    def at(self, path):
        """Where a mounted file is here."""
        return self.files / path.removeprefix("/etc/grpc-hub/")

    def argv(self, at):
        """The flags of one of them, with what is here in place of what is there."""
        name, each = self.rendered.set["metadata"]["name"], self.rendered.set["spec"]["serviceName"]
        known = {
            f"{name}-{other}.{each}.{NAMESPACE}.svc:8082": ports[2]
            for other, ports in enumerate(self.ports)
        }
        for arg in self.rendered.args:
            flag, _, said = arg.partition("=")
            if flag in LISTENS:
                said = f"127.0.0.1:{self.ports[at][LISTENS[flag]]}"
            elif flag == "--peers":
                said = ",".join(f"127.0.0.1:{known[peer]}" for peer in said.split(","))
            elif flag == "--peer-address":
                said = said.replace("$(POD_IP)", "127.0.0.1").replace(
                    ":8082", f":{self.ports[at][2]}"
                )
            elif flag == "--directory":
                said = re.sub(r"//[^?]*", f"//127.0.0.1:{self.etcd}", said)
            elif flag == "--log-format":
                said = "json"
            elif said.startswith("/etc/grpc-hub/"):
                said = str(self.at(said))
            yield f"{flag}={said}" if said else flag

    def check(self):
        """They are one: an agent of the first is called at the last."""
        if self.rendered.flag("--directory"):
            self.start_etcd()
        hubs = []
        for at in range(len(self.ports)):
            hubs.append(self.world.start(f"hub-{at}", [self.world.bin / "hub", *self.argv(at)]))
            hubs[at].wait_for(logged("listening"), "it listens")
        eventually(self.are_one, "each knows all others", ONE_WITHIN_S)
        for at in range(len(hubs)):
            for probe in ("readinessProbe", "livenessProbe"):
                path = self.rendered.hub[probe]["httpGet"]["path"]
                check(self.ask(at, path) is not None, f"hub {at} is not well at {path}")
        agent = self.start_agent()
        self.call(len(hubs) - 1)
        for process in (agent, *hubs):
            check(process.stop() == 0, f"{process.title} does not end with 0")

    def start_etcd(self):
        self.etcd, peer = free_ports(2)
        client, peer = f"http://127.0.0.1:{self.etcd}", f"http://127.0.0.1:{peer}"
        argv = ["etcd", "--data-dir", self.files / "etcd", "--listen-client-urls", client]
        argv += ["--advertise-client-urls", client, "--listen-peer-urls", peer]
        argv += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        self.world.start("etcd", argv)

    def start_agent(self):
        scheme, port = "wss" if self.is_tls else "ws", self.ports[0][0]
        argv = [
            self.world.bin / "agent",
            "--name",
            "a",
            "--hub-uri",
            f"{scheme}://127.0.0.1:{port}/ws",
        ]
        argv += ["--tls-ca-file", self.files / "tls/ca.crt"] if self.is_tls else []
        argv += ["--token-file", self.files / "agent.token"] if self.is_strict else []
        agent = self.world.start("agent", [*argv, "--log-format", "json"])
        agent.wait_for(logged("registered"), "it is registered")
        return agent

    def call(self, at):
        scheme = "https" if self.is_tls else "http"
        argv = [self.world.bin / "client", "--hub", f"{scheme}://127.0.0.1:{self.ports[at][0]}"]
        argv += ["--tls-ca-file", self.files / "tls/ca.crt"] if self.is_tls else []
        token = ["--token-file", self.files / "caller.token"] if self.is_strict else []

        def answers():
            return command(*argv, *token, "list", "a").returncode == 0

        eventually(answers, f"hub {at} leads to the first one's agent", ONE_WITHIN_S)
        if token:
            check(
                command(*argv, "list", "a").returncode != 0, "it leads there without a token, too"
            )

    def ask(self, at, path):
        """What a hub says at its admin port, if anything good."""
        try:
            with DIRECT.open(f"http://127.0.0.1:{self.ports[at][1]}{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def are_one(self):
        return all(self.peers(at) == len(self.ports) - 1 for at in range(len(self.ports)))

    def peers(self, at):
        found = re.search(r"^hub_peers (\d+)$", self.ask(at, "/metrics") or "", re.MULTILINE)
        return int(found.group(1)) if found else None


def make_certificate(folder):
    """One that is its own authority, good for both ends, as a Secret of cert-manager's has it."""
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]
    argv += [
        "-keyout",
        folder / "ca.key",
        "-out",
        folder / "ca.crt",
        "-days",
        "1",
        "-subj",
        "/CN=try",
    ]
    succeed(*argv)
    leaf = folder / "leaf.cnf"
    leaf.write_text("subjectAltName = IP:127.0.0.1\nextendedKeyUsage = serverAuth, clientAuth\n")
    argv = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    succeed(*argv, "-keyout", folder / "tls.key", "-out", folder / "leaf.csr", "-subj", "/CN=hub")
    argv = ["openssl", "x509", "-req", "-in", folder / "leaf.csr", "-CA", folder / "ca.crt"]
    argv += ["-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "1", "-extfile", leaf]
    succeed(*argv, "-out", folder / "tls.crt")


def missing(rendered):
    """A program without which hubs cannot be started so."""
    wanted = {"--directory": "etcd", "--peer-tls-ca-file": "openssl"}
    return next(
        (
            program
            for flag, program in wanted.items()
            if rendered.flag(flag) and not shutil.which(program)
        ),
        None,
    )
