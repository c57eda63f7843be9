"""A network of namespaces on one bridge, in which packets get lost where it is asked for."""

from __future__ import annotations

import json
import time
from contextlib import suppress

from harness import Failed, command, succeed

BRIDGE = "hubs-br"
# What the namespaces, and the bridge's ends of their cables, are called.
PREFIX = "hubs-"
NETWORK = "10.98.77"
# This machine, where callers and agents are.
OUTSIDE = f"{NETWORK}.1"
# Nobody's. What is sent there gets lost without a word, as on a link that is broken: a firewall's or a route's refusal would be
# told to whoever sends, and not every kernel has `netem`.
NOBODY = "02:00:00:00:00:fe"
# What ends in a namespace takes its cable along a little later.
GONE_S = 5


class Wires:
    """The network. `torn_down` takes it down, also one that is there in part only."""

    def __init__(self):
        torn_down()
        self.addresses = {}
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{OUTSIDE}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")

    def add(self, title):
        """Another machine; returns its address."""
        number = 11 + len(self.addresses)
        self.addresses[title] = f"{NETWORK}.{number}"
        space, cable = f"{PREFIX}{title}", f"{PREFIX}v{number}"
        ip("netns", "add", space)
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", cable, "master", BRIDGE, "up")
        ip("-n", space, "addr", "add", f"{self.addresses[title]}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            ip("-n", space, "link", "set", device, "up")
        return self.addresses[title]

    def inside(self, title, *argv):
        """A command line, run on that machine. It has the process id of the program."""
        return ["ip", "netns", "exec", f"{PREFIX}{title}", *argv]

    def lose(self, sender, receiver):
        """What one sends the other gets lost, from now on."""
        self.neighbour(sender, "replace", receiver, "lladdr", NOBODY, "nud", "permanent")

    def find(self, sender, receiver):
        """It gets lost no more."""
        self.neighbour(sender, "del", receiver)

    def neighbour(self, sender, what, receiver, *more):
        """Says to one where the other is."""
        words = (what, self.addresses[receiver], *more, "dev", "eth0")
        ip("-n", f"{PREFIX}{sender}", "neigh", *words)


def ip(*words):
    """Changes something of the network."""
    succeed("ip", *words)


def torn_down():
    """What an earlier one has left, too. What is not there need not go."""
    with suppress(ValueError):
        for space in json.loads(command("ip", "-j", "netns").stdout or "[]"):
            if space["name"].startswith(PREFIX):
                command("ip", "netns", "del", space["name"])
    command("ip", "link", "del", BRIDGE)
    deadline = time.monotonic() + GONE_S
    while f" {PREFIX}" in command("ip", "-o", "link").stdout:
        if time.monotonic() > deadline:
            raise Failed("a network of an earlier run is still there, and something runs in it")
        time.sleep(0.05)
