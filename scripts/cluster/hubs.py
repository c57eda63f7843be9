"""A cluster of hubs, each on a machine of its own, with an etcd, agents and callers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from etcds import Etcds
from harness import Failed, check, command, eventually, logged
from looks import AGE, AGE_S, metrics
from place import LISTENING, Caller
from wires import OUTSIDE

HERE = Path(__file__).resolve().parent
PORT, ADMIN, PEER, FRONT = 8080, 8081, 8082, 8000
BALANCER = (HERE / "haproxy.cfg").read_text()
# What a balancer's checks and the hub's own patience need.
HUB_FLAGS = ("--shutdown-delay", "2s", "--drain-timeout", "20s", "--log-format", "json")
# Whom callers ask for.
NAME = "served"
# From a start or a mend to the moment at which all know each other.
WELL_S = 60
# Its drain, and a little.
DRAIN_LIMIT_S = 40


@dataclass
class Hub:
    """A hub. Where it has ended, it may be started again."""

    title: str
    address: str
    process: object = None
    is_alive: bool = False

    @property
    def peer(self):
        """Where others reach it."""
        return f"{self.address}:{PEER}"


def registered_at(place):
    """A finder of the log's line by which an agent says that it is registered there."""
    find = logged("registered")

    def at_place(line):
        fields = find(line)
        return fields if fields and fields.get("hub") == place else None

    return at_place


class Cluster:
    """Three hubs, each with an agent that knows no other; those of `others` and their agents are another build."""

    def __init__(self, world, wires, options, members=1, others=""):
        self.world, self.wires, self.options = world, wires, options
        self.token = world.sockets / "token"
        self.token.write_text("all hubs of this cluster\n")
        self.etcds = Etcds(world, wires, members)
        self.has_others = bool(others)
        # Hubs by title, and by name those that an agent of it knows.
        self.hubs, self.agents = {}, {}
        argv = [options.programs / "isolation", "upstream", "--kind", "tonic"]
        line = world.start("upstream", argv).wait_for(LISTENING.match, "it listens")
        self.upstream = line.group(1)
        for title in "abc":
            self.start_hub(title, is_other=title in others)
            self.agent(f"at-{title}", title, is_other=title in others)
        eventually(self.is_well, "all know each other", WELL_S)

    # --- hubs ---

    def start_hub(self, title, is_other=False):
        """Starts one, at the address that it had."""
        if title not in self.hubs:
            self.hubs[title] = Hub(title, self.wires.add(title))
        hub = self.hubs[title]
        argv = [self.folder(is_other) / "hub", "--directory", self.etcds.uri, *HUB_FLAGS]
        argv += ["--peer-token-file", self.token, "--peer-address", hub.peer]
        for flag, port in (("--listen", PORT), ("--admin-listen", ADMIN), ("--peer-listen", PEER)):
            argv += [flag, f"{hub.address}:{port}"]
        hub.process = self.world.start(f"hub-{title}", self.wires.inside(title, *argv))
        hub.process.wait_for(logged("listening"), "it listens")
        hub.is_alive = True

    def restart_hub(self, title, is_other=False):
        """As an upgrade does it: it drains, then the new one starts."""
        hub = self.hubs[title]
        hub.process.terminate()
        check(hub.process.wait(DRAIN_LIMIT_S) == 0, f"hub {title} does not exit with 0")
        self.start_hub(title, is_other)

    def kill_hub(self, title):
        """Ends it as a power cut would."""
        hub = self.hubs[title]
        hub.is_alive = False
        hub.process.kill()
        hub.process.popen.wait()

    def folder(self, is_other):
        """Where the programs are."""
        return self.options.other_bin if is_other else self.world.bin

    # --- agents and callers ---

    def agent(self, name, hubs, is_other=False, sessions=None):
        """An agent that knows these hubs, the first one best; it is registered when this returns: where it has several
        sessions and knows two hubs, at both."""
        uris = ",".join(f"ws://{self.hubs[title].address}:{PORT}/ws" for title in hubs)
        argv = [self.folder(is_other) / "agent", "--name", name, "--hub-uri", uris]
        argv += ["--upstream", self.upstream, "--log-format", "json"]
        argv += ["--sessions", str(sessions)] if sessions else []
        agent = self.world.start(f"agent-{name}", argv)
        places = [f"ws://{self.hubs[title].address}:{PORT}/ws" for title in hubs]
        # Another build may not know that hubs are one.
        is_spread = sessions != 1 and not is_other and not self.has_others
        for place in places if is_spread else places[:1]:
            agent.wait_for(registered_at(place), f"it is registered at {place}")
        self.agents.setdefault(name, set()).update(hubs)

    def front(self):
        """A balancer before all hubs, which asks each whether it is ready; returns its address."""
        servers = "\n".join(
            f"    server {hub.title} {hub.address}:{PORT} port {ADMIN}"
            for hub in self.hubs.values()
        )
        front = f"{OUTSIDE}:{FRONT}"
        config = self.world.logs / "haproxy.cfg"
        config.write_text(BALANCER.format(front=front, servers=servers))
        self.world.start("haproxy", ["haproxy", "-db", "-f", config])
        return front

    # --- whether all is well ---

    def is_well(self):
        """Whether there is nothing to complain of."""
        return not self.lacks()

    def lacks(self):
        """Each hub knows all others, lists all names, hears of the directory, and is in it."""
        alive = [hub for hub in self.hubs.values() if hub.is_alive]
        reached = {hub.title for hub in alive}
        names = {name for name, hubs in self.agents.items() if reached & hubs}
        try:
            written = self.etcds.nodes()
        except Failed as error:
            return [str(error)]
        lacks = [f"hub {hub.title} is not in etcd" for hub in alive if hub.peer not in written]
        for hub in alive:
            told = metrics(hub.address) or {}
            count, age = told.get("peers", 0), told.get(AGE, 99)
            if count != len(alive) - 1:
                lacks.append(f"hub {hub.title} knows {count:.0f} others")
            if age > AGE_S:
                lacks.append(f"hub {hub.title} has not heard of the directory for {age:.0f} s")
        # That takes longer to ask.
        return lacks or [
            f"hub {hub.title} does not list {name}"
            for hub in alive
            for name in names - self.listed(hub)
        ]

    def listed(self, hub):
        """The names that a hub lists."""
        uri = f"http://{hub.address}:{PORT}"
        done = command(self.world.bin / "client", "--hub", uri, "-o", "json", "hub", "list-clients")
        listed = json.loads(done.stdout).get("clients", []) if done.returncode == 0 else []
        return {agent["name"] for agent in listed}


class HubCaller(Caller):
    """`steady`, at an address."""

    def __init__(self, cluster, address, *flags):
        argv = [cluster.options.programs / "steady", address, "--name", NAME, *flags]
        self.process = cluster.world.start("steady", argv)
        self.reports = 0
