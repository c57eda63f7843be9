"""Thousands of agents whose hub is killed and started again, and who calls beside them."""

from __future__ import annotations

import sys
import time

from harness import World, check, eventually
from report import table

from place import Caller, Site, Upstream, crash

# Who calls beside the herd has an agent of its own.
BESIDE = "beside"
# For all to gather, and for all to be back.
GATHER_LIMIT_S, BACK_LIMIT_S = 240, 240
# Before the hub is killed: calls with all of them there.
BEFORE_S = 5
# Of calls beside.
RATE, DEADLINE = 500, "5s"
LOOK_S = 0.05


def table_of(options):
    """One row, for one herd."""
    world = World(options)
    try:
        site = Site(world, options, hub_flags=("--max-connections", 30_000))
        cells = herd(options, site)
    finally:
        world.close()
    head = (
        "agents",
        "half back after",
        "all back after",
        "calls beside: served again after",
        "lost of",
        "p99 before",
        "p99 until all were back",
        "the longest",
    )
    print(*cells, sep=" | ", file=sys.stderr, flush=True)
    return "\n" + table(head, [cells])


def herd(options, site):
    """The cells."""
    site.agent(BESIDE, Upstream(site))
    crowd = site.world.start(
        "crowd",
        [options.programs / "crowd", "agents", f"ws://127.0.0.1:{site.port}/ws", options.agents],
    )
    all_there = options.agents + 1
    eventually(lambda: site.metric("hub_agents") == all_there, "all are there", GATHER_LIMIT_S)
    flags = ("--name", BESIDE, "--rate", RATE, "--deadline", DEADLINE, "--connections", 4)
    caller = Caller(site, *flags)
    # Without the first ones, which open lanes.
    time.sleep(1)
    caller.mark()
    time.sleep(BEFORE_S)
    before = caller.report()
    check(before["unary"]["lost"] == 0, f"calls are lost before anything is broken: {before}")
    crash(site.hub)
    caller.mark()
    site.start_hub()
    half, back = wait_for_all(site, options.agents + 1)
    found = caller.report()
    caller.stop()
    crowd.popen.stdin.close()
    crowd.wait()
    last = found["last_lost_begun_ms"]
    lost = found["unary"]["lost"]
    return (
        f"{options.agents:,}",
        f"{half:.1f} s",
        f"{back:.1f} s",
        "never away" if last is None else f"{last / 1000:.2f} s",
        f"{lost:,} of {lost + found['unary']['ok']:,}",
        f"{before['latency_ms']['p99']:.1f} ms",
        f"{found['latency_ms']['p99']:.1f} ms",
        f"{found['latency_ms']['max']:.0f} ms",
    )


def wait_for_all(site, count):
    """Seconds until half of them are back, and all."""
    begin, half = time.monotonic(), None
    while True:
        there, passed = site.metric("hub_agents"), time.monotonic() - begin
        if there >= count / 2 and half is None:
            half = passed
        if there >= count:
            return half, passed
        check(passed < BACK_LIMIT_S, f"{there:.0f} are back after {passed:.0f} s")
        time.sleep(LOOK_S)
