"""How large a scrape of a hub with many names is, and how long it takes."""

from __future__ import annotations

import resource
import time
from statistics import median
from urllib.request import Request

from harness import DIRECT, eventually
from report import table, write

MARKS = ("<!-- measured -->\n", "<!-- /measured -->\n")
NAMES = 5000
# Names that have series of their own: as many as there are, and the hub's default.
TOLD = (NAMES, 1000)
SCRAPES = 9
MIB = 1 << 20
# How long all may take to be there: a hub that is behind takes 500 agents a second.
GATHER_LIMIT_S = 240
# A hub takes 128 registrations a second of one address after some thousands: the agents say that
# they have several.
ADDRESSES = 200
CALLS_A_SECOND = 500
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def measure(world, programs, told):
    """Rows for a hub that gives so many names series: before anybody calls, and after."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # What is started has as many.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    flags = ("--metrics-names", told, "--trusted-proxies", "127.0.0.0/8")
    hub = world.new_hub("plain", *flags)
    agents = world.start(
        "agents",
        [programs / "crowd", "agents", hub.websocket, NAMES, "--addresses", ADDRESSES],
    )
    eventually(lambda: value(hub, "hub_agents") >= NAMES, "all agents are there", GATHER_LIMIT_S)
    rows = [row(told, "nobody has called yet", hub)]
    caller = call_each(world, programs, hub)
    rows.append(row(told, "each was called, by one method", hub))
    for process in (caller, agents, hub.process):
        process.kill()
        process.popen.wait()
    return rows


def call_each(world, programs, hub):
    """The agents have no such method. They say so, which counts as any answer does."""
    argv = [programs / "steady", f"127.0.0.1:{hub.port}", "--connections", 1]
    argv += [part for number in range(NAMES) for part in ("--name", f"idle-{number}")]
    argv += ["--rate", CALLS_A_SECOND, "--calls", NAMES, "--deadline", "60s"]
    caller = world.start("caller", argv)

    def is_over():
        counted = [value(hub, "hub_calls_total"), value(hub, "hub_streams_in_flight")]
        return counted[0] >= NAMES and counted[1] == 0

    eventually(is_over, "each name was called", GATHER_LIMIT_S)
    return caller


def row(told, what, hub):
    """What a scrape is like now."""
    pages, times = [], []
    for _ in range(SCRAPES):
        began = time.monotonic()
        pages.append(page(hub))
        times.append(time.monotonic() - began)
    series = sum(1 for line in pages[-1].splitlines() if line and line[:1] != b"#")
    size = f"{len(pages[-1]) / MIB:.2f} MiB"
    return (f"{told:,}", what, f"{series:,}", size, f"{median(times) * 1000:.0f} ms")


def page(hub):
    """A scrape, in the form that Prometheus asks for."""
    request = Request(f"http://{hub.admin}/metrics", headers={"Accept": OPEN_METRICS})
    with DIRECT.open(request, timeout=60) as answer:
        return answer.read()


def value(hub, metric):
    """The sum of all series of a metric."""
    beginnings = f"{metric} ", f"{metric}{{"
    lines = [line for line in page(hub).decode().splitlines() if line.startswith(beginnings)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def told_of(rows, path):
    """Tells the table, and puts it into the page."""
    head = (f"--metrics-names, of {NAMES:,}", "", "series", "a scrape", "takes")
    text = table(head, rows)
    print(text)
    if path:
        write(path, "\n" + text, MARKS)
