"""The hub whose page is looked at, who is registered there, and who calls."""

from __future__ import annotations

import http.client
import os
from pathlib import Path

from harness import DIRECT, check, eventually, free_ports, logged

# A name that is called, one whose agent is killed, one whose server takes no connections.
BUSY, GONE, CLOSED = "orders-berlin", "printer-oslo", "camera-lagos"
# Others that the same agent has, for the pictures.
OTHERS = ["billing-osaka", "billing-quito", "inventory-perth", "ledger-berlin", "orders-osaka"]
# What an agent says of itself, which would be an image with a script if it were markup.
LABEL = "<img src=x onerror=window.was=1>"
# How long a crowd may take to be there: of 10,000, some come from one address later than others.
GATHER_LIMIT_S = 180
# What is called, which any agent without a server has.
METHOD = "/grpc.health.v1.Health/Check"
# As gRPC-Web frames it: an empty message, and one that none is, for which servers say INTERNAL.
EMPTY, BROKEN = bytes(5), b"\0\0\0\0\1\xff"


class Site:
    """All that runs beside the browser."""

    def __init__(self, world, options):
        self.world = world
        # Nobody's call waits for an agent that may come back.
        self.hub = world.new_hub("h2c", "--park-timeout", "0s")
        ours = [part for name in [*OTHERS, BUSY] for part in ("--name", name)][1:]
        labels = ["--label", f"note={LABEL}", "--label", "zone=eu-1"]
        first, *more = ours
        self.agent = self.world.agent(self.hub, first, *labels, *more)
        self.gone = self.world.agent(self.hub, GONE)
        self.closed = None
        self.names = options.names + len(OTHERS) + 2
        argv = [options.programs.resolve() / "crowd", "agents", self.hub.websocket, options.names]
        world.start("crowd", argv)
        eventually(self.all_there, "all are registered", GATHER_LIMIT_S)

    def all_there(self):
        """Whether the hub knows all names."""
        with DIRECT.open(f"http://{self.hub.admin}/metrics", timeout=10) as page:
            return f"hub_agents {self.names}" in page.read().decode().splitlines()

    def start_closed(self):
        """An agent whose server is not there, unless it is there already."""
        if self.closed:
            return
        (port,) = free_ports(1)
        argv = [self.world.bin / "agent", "--name", CLOSED, "--hub-uri", self.hub.websocket]
        self.closed = self.world.start("agent-closed", [*argv, "--upstream", f"127.0.0.1:{port}"])
        self.names += 1

    def kill_gone(self):
        """As a power cut would."""
        self.gone.kill()

    def call(self, name):
        """One call, and its gRPC status as a number in text."""
        return Caller(self.hub.port).call(name, EMPTY)

    def fail(self, name):
        """One that a server does not understand."""
        return Caller(self.hub.port).call(name, BROKEN)

    def head(self, path):
        """The header fields of an answer."""
        with DIRECT.open(f"http://{self.hub.admin}{path}", timeout=10) as page:
            return page.headers

    def hub_id(self):
        """As the hub logs it."""
        return self.hub.process.wait_for(logged("listening"), "it listens")["node"]

    def hub_seconds(self):
        """Of CPU, so far."""
        stat = Path(f"/proc/{self.hub.process.popen.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Caller:
    """Calls by gRPC-Web, which needs no library, on a connection that idles for no long time."""

    def __init__(self, port):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def call(self, name, message):
        """Returns `grpc-status`."""
        fields = {"name": name, "content-type": "application/grpc-web+proto"}
        self.connection.request("POST", METHOD, message, fields)
        answer = self.connection.getresponse()
        body = answer.read()
        if status := answer.getheader("grpc-status"):
            return status
        trailers = body[body.rfind(b"grpc-status:") :].split(b"\r\n")[0]
        check(trailers, f"call of {name}: HTTP {answer.status} without a status")
        return trailers.partition(b":")[2].strip().decode()
