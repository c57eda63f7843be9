"""The faults of the table: how each is done, and how it is mended."""

from __future__ import annotations

from dataclasses import dataclass

from hubs import NAME
from place import freeze, thaw

# How long a hub stands still: longer than its lease; and until its agent has found another.
FROZEN_S, LONG_FROZEN_S = 25, 60
# How long a hub is cut off from another: longer than a silence may be.
CUT_S = 20
# And from etcd: longer than its lease.
ETCD_CUT_S = 30
# How long three members of etcd are two.
LEADERLESS_S = 5


@dataclass
class Fault:
    """What breaks it; what mends it, that long afterwards, and how the table calls that."""

    breaks: object
    mends: object = None
    lasts_s: float = 0
    mended: str = "mended"


@dataclass
class Row:
    """A fault. `begin` puts up the agents that are called, and returns it."""

    title: str
    begin: object
    # The hub that callers are at; None: they come by a balancer.
    at: str | None = "a"
    members: int = 1
    # Hubs that begin as another build.
    others: str = ""
    is_of_two_builds: bool = False
    # What somebody is to have noticed of it, or it was not there.
    notices: str = ""
    # How long it may take until calls go well again, beyond what the fault itself takes.
    limit_s: float = 60


def alone(cluster):
    """The only session is at hub b, and moves to c."""
    cluster.agent(NAME, "bc", sessions=1)


def spread(cluster):
    """The only agent is at hubs b and c, as agents are."""
    cluster.agent(NAME, "bc")


def far(cluster):
    """The only agent is at hub c, and at b; callers are at a."""
    cluster.agent(NAME, "cb")


def aside(cluster):
    """The only session is at hub c, which is not broken."""
    cluster.agent(NAME, "c", sessions=1)


# --- a hub ---


def killed(title, agents):
    """For good."""

    def begin(cluster):
        agents(cluster)
        return Fault(lambda: cluster.kill_hub(title))

    return begin


def frozen(title, agents, lasts_s=FROZEN_S):
    """It stands still, and goes on."""

    def begin(cluster):
        agents(cluster)
        process = cluster.hubs[title].process
        return Fault(lambda: freeze(process), lambda: thaw(process), lasts_s, "thawed")

    return begin


# --- a link ---


def lossy(*ways, agents=spread, lasts_s=CUT_S):
    """What one sends the other gets lost."""

    def begin(cluster):
        agents(cluster)
        return Fault(
            lambda: [cluster.wires.lose(*way) for way in ways],
            lambda: [cluster.wires.find(*way) for way in ways],
            lasts_s,
        )

    return begin


ETCD_CUT = (("b", "etcd-1"), ("etcd-1", "b"))


# --- etcd ---


def leader_killed(cluster):
    """One of three members, for good; then a hub starts that others are to find."""
    spread(cluster)
    killed = []

    def breaks():
        killed.append(cluster.etcds.leader())
        process = cluster.etcds.processes[killed[0]]
        process.kill()
        process.popen.wait()

    return Fault(breaks, lambda: cluster.start_hub("d"), LEADERLESS_S, "another hub started")


def compacted(cluster):
    """While a hub sleeps another one starts, and its watch is behind what etcd still knows."""
    aside(cluster)
    process = cluster.hubs["b"].process

    def breaks():
        freeze(process)
        cluster.start_hub("d")
        cluster.etcds.change_much()

    return Fault(breaks, lambda: thaw(process), 0, "thawed")


def revoked(cluster):
    """The lease of a hub that lives."""
    spread(cluster)
    return Fault(lambda: cluster.etcds.revoke(cluster.hubs["b"].peer))


# --- versions ---


def exchanged(is_other):
    """Hub b is replaced by one of another build, as an upgrade does it."""

    def begin(cluster):
        cluster.agent(NAME, "bc", is_other=not is_other)
        return Fault(lambda: cluster.restart_hub("b", is_other))

    return begin


ROWS = [
    Row("a hub killed, an agent is at it and at another", killed("b", spread), notices="peers"),
    Row(
        "a hub killed, an agent is at it with its only session", killed("b", alone), notices="peers"
    ),
    Row(
        "a hub killed that callers are at, by a balancer",
        killed("a", far),
        at=None,
        notices="peers",
    ),
    Row(
        f"a hub frozen for {FROZEN_S} s, an agent is at it and at another",
        frozen("b", spread),
        notices="peers",
    ),
    Row(
        f"a hub frozen for {LONG_FROZEN_S} s, an agent is at it with its only session",
        frozen("b", alone, LONG_FROZEN_S),
        notices="peers",
    ),
    Row(
        f"a hub frozen for {FROZEN_S} s that callers are at, by a balancer",
        frozen("a", far),
        at=None,
        notices="peers",
    ),
    Row(
        f"a hub cut off from etcd for {ETCD_CUT_S} s, an agent is at it with its only session",
        lossy(*ETCD_CUT, agents=alone, lasts_s=ETCD_CUT_S),
        notices="directory lost",
    ),
    Row(
        f"two hubs cut off from each other for {CUT_S} s, an agent is at the other one and at a third",
        lossy(("a", "b"), ("b", "a")),
        notices="peers",
    ),
    Row("the same, only what the callers' hub sends is lost", lossy(("a", "b")), notices="peers"),
    Row("the same, only what the agent's hub sends is lost", lossy(("b", "a")), notices="peers"),
    Row(
        f"two hubs cut off from each other for {CUT_S} s, an agent's only session is at the other one",
        lossy(("a", "b"), ("b", "a"), agents=alone),
        notices="peers",
    ),
    Row(
        "etcd's leader of three killed, then a hub starts",
        leader_killed,
        members=3,
    ),
    Row(
        "a hub sleeps while another starts and etcd is compacted",
        compacted,
        notices="directory lost",
    ),
    Row("the lease of a hub that lives is revoked", revoked, notices="directory lost"),
    Row(
        "a hub and its agent of another build, replaced by this one",
        exchanged(False),
        others="b",
        is_of_two_builds=True,
    ),
    Row("a hub of this build replaced by another one", exchanged(True), is_of_two_builds=True),
]
