"""What a soak does to a fleet, by chance, and how each is mended."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness import eventually

from place import Caller, Proxy, Upstream, crash, freeze, thaw

# Names, and how many agents each has.
NAMES = {"red": 2, "green": 1, "blue": 1}
# A hub that is quick to notice: what takes long is not done often.
HUB_FLAGS = ("--keepalive-interval", "2s", "--keepalive-timeout", "5s", "--drain-timeout", "10s")
# Who stays to the end. Each name has unary calls and streams.
STAYS = ("--rate", 400, "--streams", 24, "--stream-life", "4s", "--connections", 6, "--watch")
# Who leaves in the middle of its calls.
GUEST = ("--rate", 100, "--streams", 12, "--stream-life", "60s", "--connections", 3)
DEADLINE = ("--deadline", "5s")
# For agents that have to notice that their hub is another one.
BACK_LIMIT_S = 90


@dataclass
class Member:
    """An agent, on a link of its own."""

    name: str
    upstream: Upstream
    proxy: Proxy
    process: object = None


class Fleet:
    """A site with several names, and everything that may break of it."""

    def __init__(self, site):
        self.site, self.guests = site, 0
        self.members = []
        self.upstreams = {name: Upstream(site, f"upstream-{name}") for name in NAMES}
        for name, count in NAMES.items():
            for _ in range(count):
                proxy = Proxy(site, site.port)
                self.members.append(Member(name, self.upstreams[name], proxy))
                self.start(self.members[-1])
        self.wait_for_all()

    def start(self, member):
        """Starts its agent; it may not reach the hub yet."""
        name, upstream = member.name, member.upstream
        member.process = self.site.begin_agent(
            name, upstream, title=f"agent-{name}", through=member.proxy
        )

    def wait_for_all(self):
        """All are registered."""
        count = len(self.members)
        eventually(
            lambda: self.site.metric("hub_agents") == count,
            f"{count} agents are there",
            BACK_LIMIT_S,
        )

    def caller(self, flags, title="steady"):
        """Calls all names."""
        names = [part for name in NAMES for part in ("--name", name)]
        return Caller(self.site, *names, *flags, *DEADLINE, title=title)


# --- what is done; each is mended when it returns ---


def agent_killed(fleet, chance):
    """By the kernel, say; a supervisor starts it again."""
    member = chance.choice(fleet.members)
    crash(member.process)
    time.sleep(chance.uniform(0, 3))
    fleet.start(member)


def agent_restarted(fleet, chance):
    """SIGTERM, and another."""
    member = chance.choice(fleet.members)
    member.process.terminate()
    member.process.wait(45)
    fleet.start(member)


def agent_frozen(fleet, chance):
    """SIGSTOP."""
    frozen(chance.choice(fleet.members).process, chance.uniform(0.5, 12))


def hub_frozen(fleet, chance):
    """SIGSTOP."""
    frozen(fleet.site.hub, chance.uniform(0.2, 4))


def upstream_frozen(fleet, chance):
    """SIGSTOP."""
    frozen(chance.choice(list(fleet.upstreams.values())).process, chance.uniform(0.2, 8))


def frozen(process, seconds):
    """For so long."""
    freeze(process)
    time.sleep(seconds)
    thaw(process)


def hub_killed(fleet, chance):
    """By the kernel, say; a supervisor starts it again."""
    crash(fleet.site.hub)
    time.sleep(chance.uniform(0, 2))
    fleet.site.start_hub()


def hub_replaced(fleet, chance):
    """In place, where that is built."""
    if fleet.site.kind == "plain":
        fleet.site.restart_hub()
    else:
        fleet.site.replace_hub()


def upstream_killed(fleet, chance):
    """It starts again a little later."""
    upstream = chance.choice(list(fleet.upstreams.values()))
    crash(upstream.process)
    time.sleep(chance.uniform(0, 3))
    upstream.start()


def upstream_restarted(fleet, chance):
    """As a rollout does it."""
    chance.choice(list(fleet.upstreams.values())).restart()


def link_broken(fleet, chance):
    """All that a network may do to an agent's connections."""
    proxy = chance.choice(fleet.members).proxy
    for order in chance.sample(LINK_ORDERS, chance.randint(1, 2)):
        proxy.order(order)
    time.sleep(chance.uniform(0.5, 12))
    proxy.order("pass")


LINK_ORDERS = [
    "blackhole",
    "blackhole up",
    "blackhole down",
    "reset",
    "half-close up",
    "half-close down",
    "refuse",
    "slice 7",
    "latency 80ms",
    "rate 200000",
    "age 2s",
]


def power_lost(fleet, chance):
    """Nobody tells the hub that an agent is gone, and another comes from elsewhere."""
    member = chance.choice(fleet.members)
    member.proxy.order("blackhole")
    crash(member.process)
    member.proxy = Proxy(fleet.site, fleet.site.port)
    time.sleep(chance.uniform(0, 2))
    fleet.start(member)


def reloaded(fleet, chance):
    """Other content in all files, and SIGHUP to all, some times."""
    for _ in range(chance.randint(1, 5)):
        fleet.site.files.rewrite()
        for process in (fleet.site.hub, *(member.process for member in fleet.members)):
            process.hang_up()
        time.sleep(chance.uniform(0, 0.3))


def guest_leaves(fleet, chance):
    """Somebody calls for a while, and is killed in the middle of it."""
    fleet.guests += 1
    guest = fleet.caller(GUEST, "guest")
    time.sleep(chance.uniform(0.5, 6))
    crash(guest.process)


# With how often each is done, of all.
ACTIONS = {
    agent_killed: 10,
    agent_restarted: 10,
    agent_frozen: 8,
    hub_frozen: 5,
    hub_killed: 4,
    hub_replaced: 8,
    upstream_killed: 6,
    upstream_restarted: 6,
    upstream_frozen: 5,
    link_broken: 20,
    power_lost: 5,
    reloaded: 8,
    guest_leaves: 8,
}
