"""The loads, and what is read of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import h2load
import ways
from harness import check, command

# Of one run of one load: longer than `load` itself waits.
LOAD_LIMIT_S = 150
MIB = 1 << 20


@dataclass(frozen=True)
class Measure:
    """One number of a run."""

    title: str
    # How it is read from what `load` prints.
    read: Callable[[dict], float]
    unit: str

    def told(self, value):
        """For a person."""
        return digits(value) + self.unit


def digits(value):
    """As many as say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def quantile(title, key):
    """A latency that a share of the calls stays below."""
    return Measure(title, lambda said: said["latency_us"][key], " us")


P50, P99, P999 = quantile("p50", "p50"), quantile("p99", "p99"), quantile("p99.9", "p999")
CALLS = Measure("calls", lambda said: said["calls_per_s"], "/s")
MESSAGES = Measure("messages", lambda said: said["messages_per_s"], "/s")
BYTES = Measure("bytes", lambda said: said["bytes_per_s"] / 1e6, " MB/s")


@dataclass(frozen=True)
class Load:
    """What is asked of `load`. The first of its measures is the one that ratios are of."""

    title: str
    # Calls, or for a fixed rate seconds.
    count: int
    flags: tuple
    measures: tuple
    # Of `count`, before any counts.
    warm_up: int

    def run(self, programs, way, ca, share=None):
        """What `load` says of a run with a share of the count; without one, of the warm-up."""
        count = self.warm_up if share is None else max(self.warm_up, int(self.count * share))
        length = "--seconds" if "--rate" in self.flags else "--calls"
        argv = [programs / "load", f"127.0.0.1:{way.port}", "--name", ways.NAME]
        argv += [*self.flags, length, count]
        argv += ["--tls-ca", ca] if way.tls else []
        done = command(*argv, limit_s=LOAD_LIMIT_S)
        check(done.returncode == 0, f"not all calls succeeded: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)


def unary(request, *flags):
    """Flags of unary calls whose answer is their request."""
    return ("--kind", "unary", "--request", request, *flags)


def stream(kind, messages, request, answer, *flags):
    """Flags of streams."""
    sizes = ("--messages", messages, "--request", request, "--answer", answer)
    return ("--kind", kind, *sizes, *flags)


FOUR = ("--at-once", 4)
ECHO = ("Echo", 64, 64)
# As `load` has: windows of 4 MiB a stream, 16 MiB a connection.
WIDE = ("-c1", "-m4", "-w22", "-W24")
LOADS = {
    "calls": h2load.Calls(
        "unary calls of 64 B, 4 connections x 32",
        60_000,
        ("-c4", "-m32"),
        (CALLS,),
        2_000,
        *ECHO,
    ),
    "one": Load("unary calls of 64 B, 1 x 1", 4_000, unary(64, "--at-once", 1), (P50, P99), 1_000),
    "paced": Load(
        "2,000 unary calls of 64 B a second, 4 connections",
        3,
        unary(64, "--connections", 4, "--rate", 2_000),
        (P50, P99, P999),
        1,
    ),
    "pings": Load(
        "messages of 16 B there and back, 16 streams at once",
        64,
        stream("both-ways", 500, 16, 16, "--at-once", 16),
        (MESSAGES, P99),
        16,
    ),
    "answers": Load(
        "server streams of 1 KiB messages, 4 at once",
        16,
        stream("server-stream", 10_000, 16, 1024, *FOUR),
        (MESSAGES,),
        4,
    ),
    "requests": Load(
        "client streams of 1 KiB messages, 4 at once",
        16,
        stream("client-stream", 10_000, 1024, 16, *FOUR),
        (MESSAGES,),
        4,
    ),
    "large": Load("unary calls of 1 MiB, 4 at once", 200, unary(MIB, *FOUR), (CALLS,), 20),
    "download": h2load.Calls(
        "64 MiB downloads, 4 at once", 12, WIDE, (BYTES,), 4, "Download", 64, 64 * MIB
    ),
    "upload": h2load.Calls(
        "64 MiB uploads, 4 at once", 12, WIDE, (BYTES,), 4, "Answer", 64 * MIB, 16
    ),
    "connections": h2load.Calls(
        "unary calls of 64 B, 1,000 connections x 1",
        20_000,
        ("-c1000", "-m1"),
        (CALLS,),
        2_000,
        *ECHO,
    ),
}
# What of it is also measured with TLS on both sides of the hub.
OVER_TLS = ("calls", "download")
