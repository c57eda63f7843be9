"""An etcd of one member or more, and what somebody else does there: by its JSON gateway."""

from __future__ import annotations

import base64
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from harness import DIRECT, Failed, check, eventually

CLIENT, PEER = 2379, 2380
# Of one request.
LIMIT_S = 3
START_S = 30
NODES = "/grpc-hub/nodes/"
# More than a hub that sleeps has room for, on all of its way from etcd: the rest waits there, and is compacted.
CHANGES, CHANGE_BYTES = 1500, 20_000


class Etcds:
    """All members, each on a machine of its own."""

    def __init__(self, world, wires, count):
        self.world, self.wires = world, wires
        self.titles = [f"etcd-{number}" for number in range(1, count + 1)]
        self.addresses = {title: wires.add(title) for title in self.titles}
        self.processes = {}
        for title in self.titles:
            self.start(title)
        eventually(self.leader, "etcd has a leader", START_S)

    @property
    def uri(self):
        """What a hub is told."""
        return "etcd://" + ",".join(f"{address}:{CLIENT}" for address in self.addresses.values())

    def start(self, title):
        """Starts a member, with what it has kept."""
        client, peer = (f"http://{self.addresses[title]}:{port}" for port in (CLIENT, PEER))
        members = ",".join(f"{each}=http://{at}:{PEER}" for each, at in self.addresses.items())
        argv = ["etcd", "--name", title, "--data-dir", self.world.sockets / title]
        argv += ["--listen-client-urls", client, "--advertise-client-urls", client]
        argv += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        argv += ["--initial-cluster", members]
        self.processes[title] = self.world.start(title, self.wires.inside(title, *argv))

    def ask(self, what, title=None, **message):
        """Asks that member, or the first that answers."""
        for each in [title] if title else self.titles:
            request = urllib.request.Request(
                f"http://{self.addresses[each]}:{CLIENT}/v3/{what}", json.dumps(message).encode()
            )
            try:
                with DIRECT.open(request, timeout=LIMIT_S) as answer:
                    return json.load(answer)
            except OSError as error:
                why = error
        raise Failed(f"{what}: etcd does not answer: {why}")

    def leader(self):
        """Which member leads; None if nobody does."""
        for title in self.titles:
            try:
                told = self.ask("maintenance/status", title)
            except Failed:
                continue
            if told.get("leader") and told["leader"] == told["header"]["member_id"]:
                return title
        return None

    def nodes(self):
        """The leases of all hubs that are written there, by where others reach them."""
        begin, end = encoded(NODES), encoded(NODES[:-1] + "0")
        found = {}
        for pair in self.ask("kv/range", key=begin, range_end=end).get("kvs", []):
            if pair.get("lease"):
                value = json.loads(base64.b64decode(pair["value"]))
                found[value["peer"]] = pair["lease"]
        return found

    def revoke(self, peer):
        """Ends the lease of the hub that others reach there."""
        leases = self.nodes()
        check(peer in leases, f"{peer} is not in etcd")
        self.ask("lease/revoke", ID=leases[peer])

    def change_much(self):
        """Much is written beside the hubs' own keys, and then forgotten but for the last of it."""
        key, value = encoded(f"{NODES}none"), encoded("x" * CHANGE_BYTES)
        with ThreadPoolExecutor(16) as writers:
            puts = writers.map(lambda _: self.ask("kv/put", key=key, value=value), range(CHANGES))
            last = max(int(answer["header"]["revision"]) for answer in puts)
        self.ask("kv/compaction", revision=str(last), physical=True)


def encoded(text):
    """As the gateway wants bytes."""
    return base64.b64encode(text.encode()).decode()
