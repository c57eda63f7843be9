"""The faults of the table: how each is done, and what is there to meet it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from place import NotBuilt, Proxy, Upstream, crash, freeze, help_of, thaw

NAME = "served"
# What ends of a supervisor or a scheduler, and starts it again, may take.
SUPERVISOR_S = 1
# How long a hub or an agent stands still.
FROZEN_S = 5
# What a balancer lets a connection live, and what agents are told of it.
BALANCER_AGE, SESSION_AGE = "30s", "25s"


@dataclass
class Row:
    """A fault. `begin` puts up the agents and returns what breaks; `limit_s` is how long it may be noticed."""

    title: str
    begin: object
    kind: str = "plain"
    hub_flags: tuple = ()
    has_files: bool = False
    # Beyond what the fault itself takes.
    limit_s: float = 90
    steady: tuple = field(default=())


def agents(site, count=2, through=None, flags=()):
    """An upstream, and so many agents before it; the first one through a proxy."""
    upstream = Upstream(site)
    first = site.agent(NAME, upstream, *flags, through=through)
    return upstream, [first, *(site.agent(NAME, upstream, *flags) for _ in range(count - 1))]


# --- agents ---


def agent_killed(site):
    """One of two."""
    _, (agent, _) = agents(site)
    return lambda: crash(agent)


def only_agent_killed(site):
    """A supervisor starts it again."""
    upstream, (agent,) = agents(site, 1)

    def fault():
        crash(agent)
        time.sleep(SUPERVISOR_S)
        site.agent(NAME, upstream)

    return fault


def agent_frozen(site):
    """One of two, for good: `close` lets it go on."""
    _, (agent, _) = agents(site)
    return lambda: freeze(agent)


def only_agent_frozen(site):
    """It stands still, and goes on."""
    _, (agent,) = agents(site, 1)
    return lambda: pause(agent)


def pause(process):
    """Stands still, and goes on."""
    freeze(process)
    time.sleep(FROZEN_S)
    thaw(process)


def agent_restarted(count):
    """SIGTERM, and when it has ended, another."""

    def begin(site):
        upstream, (agent, *_) = agents(site, count)
        return lambda: site.restart_agent(agent, NAME, upstream)

    return begin


# --- the link of an agent ---


def link(orders, count=2):
    """The first agent is behind a proxy that does this to its connections."""

    def begin(site):
        proxy = Proxy(site, site.port)
        agents(site, count, through=proxy)
        return lambda: [proxy.order(order) for order in orders]

    return begin


def half_open(site):
    """The only agent's machine loses its power: nobody tells the hub. It starts again a little later."""
    proxy = Proxy(site, site.port)
    upstream, (agent,) = agents(site, 1, through=proxy)

    def fault():
        proxy.order("blackhole")
        crash(agent)
        time.sleep(SUPERVISOR_S)
        site.agent(NAME, upstream)

    return fault


# --- hub ---


def hub_killed(site):
    """A supervisor starts it again."""
    agents(site)

    def fault():
        crash(site.hub)
        time.sleep(SUPERVISOR_S)
        site.start_hub()

    return fault


def hub_frozen(site):
    """It stands still, and goes on."""
    agents(site)
    return lambda: pause(site.hub)


def hub_restarted(site):
    """SIGTERM, and when it has ended, another: nothing in place."""
    agents(site)
    return site.restart_hub


def hub_replaced(site):
    """In place: the new one is there before the old one leaves."""
    agents(site)
    return site.replace_hub


def reloaded(site):
    """Other content in all files, and SIGHUP to all, each second."""
    _, running = agents(site)

    def fault():
        for _ in range(10):
            site.reload(running)
            time.sleep(1)

    return fault


# --- upstreams ---


def upstream_killed(site):
    """A supervisor starts it again."""
    upstream, _ = agents(site)

    def fault():
        crash(upstream.process)
        time.sleep(SUPERVISOR_S)
        upstream.start()

    return fault


def upstream_rollout(site):
    """Two servers, each with an agent; each drains and is replaced, one after the other."""
    upstreams = [Upstream(site), Upstream(site)]
    for upstream in upstreams:
        site.agent(NAME, upstream)
    return lambda: [upstream.restart() for upstream in upstreams]


# --- what stands between ---


def balancer(flags):
    """Each connection of the only agent is reset at an age."""

    def begin(site):
        if flags and flags[0] not in help_of(site.world.bin / "agent"):
            raise NotBuilt
        proxy = Proxy(site, site.port)
        proxy.order(f"age {BALANCER_AGE}")
        agents(site, 1, through=proxy, flags=flags)
        # Two ages, and a little.
        return lambda: time.sleep(70)

    return begin


FAULTS = [
    Row("agent killed, one of two", agent_killed),
    Row(f"the only agent killed, started {SUPERVISOR_S} s later", only_agent_killed),
    Row("agent frozen (SIGSTOP), one of two", agent_frozen),
    Row(f"the only agent frozen for {FROZEN_S} s", only_agent_frozen),
    Row(f"hub killed, started {SUPERVISOR_S} s later", hub_killed),
    Row(f"hub frozen for {FROZEN_S} s", hub_frozen),
    Row(f"upstream killed, started {SUPERVISOR_S} s later", upstream_killed),
    Row("upstreams rolled over, two agents", upstream_rollout),
    Row("agent's link is a black hole, one of two", link(["blackhole"])),
    Row("the same, towards the hub", link(["blackhole up"])),
    Row("the same, towards the agent", link(["blackhole down"])),
    Row(f"half-open: the only agent's power is lost, it starts {SUPERVISOR_S} s later", half_open),
    Row("agent's link ended (FIN) to the hub only, one of two", link(["half-close up"])),
    Row("agent's link reset, one of two", link(["reset"])),
    Row("the only agent's link reset", link(["reset"], 1)),
    Row("agent restarted (SIGTERM), one of two", agent_restarted(2)),
    Row("the only agent restarted (SIGTERM)", agent_restarted(1), steady=("--stream-life", "1s")),
    Row("hub restarted (SIGTERM), not in place", hub_restarted),
    Row("hub replaced, on a socket that is passed on", hub_replaced, "socket"),
    Row("hub replaced, with `--reuse-port`", hub_replaced, "reuse-port"),
    Row(f"balancer resets each connection after {BALANCER_AGE}", balancer(())),
    Row(
        f"the same, `--max-session-age {SESSION_AGE}`", balancer(("--max-session-age", SESSION_AGE))
    ),
    Row("reload (SIGHUP) each second", reloaded, has_files=True),
]


# --- nothing may be lost ---


def restarting(count):
    """One of so many agents drains and starts, over and over."""

    def begin(site):
        upstream, running = agents(site, count)

        def fault():
            running[0] = site.restart_agent(running[0], NAME, upstream)
            running.append(running.pop(0))

        return fault

    return begin


ZERO = [
    Row("one of two agents restarts, over and over", restarting(2)),
    Row("the only agent restarts, over and over", restarting(1), steady=("--stream-life", "500ms")),
    Row("hub replaced over and over, socket passed on", hub_replaced, "socket"),
    Row("hub replaced over and over, `--reuse-port`", hub_replaced, "reuse-port"),
    Row("reload each second", reloaded, has_files=True),
    Row(
        f"balancer's {BALANCER_AGE}, agents with `--max-session-age {SESSION_AGE}`",
        balancer(("--max-session-age", SESSION_AGE)),
    ),
]
