"""A caller with C-core's default windows.

    caller.py move ADDRESS NAME METHOD TIMES          64 MiB in each call; prints how many seconds each took
    caller.py beside ADDRESS NAME METHOD READERS SECONDS [--one-connection]

`beside` makes small calls, one after the other, beside so many calls that move without end; it prints milliseconds at
the median and the 99th percentile, and what the others moved, in Mbit/s.
"""

from __future__ import annotations

import os
import sys
import threading
import time

import grpc

MESSAGES, MESSAGE = 4096, bytes((16 << 10) - 5)
# Before anything counts: windows have found their size by then.
WARM_UP_S = 4
# Between two small calls.
PAUSE_S = 0.02


def channel(address, number=0):
    """A connection of its own for each number."""
    own = [("grpc.use_local_subchannel_pool", 1), ("links.number", number)]
    return grpc.insecure_channel(address, options=own)


def method(connection, name, kind):
    """One whose messages are bytes."""
    same = lambda message: message
    make = getattr(connection, kind)
    return make(f"/bench.Bench/{name}", request_serializer=same, response_deserializer=same)


def move(address, name, what, times):
    """64 MiB in one call, again and again."""
    call = method(channel(address), what, "stream_stream")
    for _ in range(int(times)):
        start = time.monotonic()
        said = (MESSAGE for _ in range(MESSAGES if what == "Upload" else 0))
        answer = call(said, metadata=[("name", name)], wait_for_ready=True)
        came = sum(len(message) for message in answer)
        if what == "Download" and came != MESSAGES * len(MESSAGE):
            sys.exit(f"{came} bytes came")
        print(f"{time.monotonic() - start:.3f}", flush=True)


class Movers:
    """Calls without end, each on a thread."""

    def __init__(self, connections, name, what):
        self.moved = [0] * len(connections)
        self.failed = None
        for number, connection in enumerate(connections):
            call = method(connection, what, "stream_stream")
            args = (number, call, name, what)
            threading.Thread(target=self.serve, args=args, daemon=True).start()

    def serve(self, number, call, name, what):
        """Reads, or writes, until the program ends."""
        try:
            said = self.endless(number) if what == "Drain" else iter(())
            for message in call(said, metadata=[("name", name)], wait_for_ready=True):
                self.moved[number] += len(message)
        except grpc.RpcError as error:
            self.failed = error

    def endless(self, number):
        while True:
            yield MESSAGE
            self.moved[number] += len(MESSAGE)


def beside(address, name, what, readers, seconds, one_connection):
    """Small calls beside large ones."""
    own = channel(address)
    others = [own if one_connection else channel(address, 1 + n) for n in range(int(readers))]
    movers = Movers(others, name, what)
    echo = method(own, "Echo", "unary_unary")
    small = lambda: echo(bytes(59), metadata=[("name", name)], wait_for_ready=True)
    end = time.monotonic() + WARM_UP_S
    while time.monotonic() < end:
        small()
    start, before, took = time.monotonic(), sum(movers.moved), []
    while time.monotonic() - start < float(seconds):
        began = time.monotonic()
        small()
        took.append(time.monotonic() - began)
        time.sleep(PAUSE_S)
    rate = (sum(movers.moved) - before) * 8 / (time.monotonic() - start) / 1e6
    if movers.failed:
        sys.exit(f"a large call failed: {movers.failed}")
    took.sort()
    p50, p99 = (took[int(len(took) * share)] * 1e3 for share in (0.5, 0.99))
    print(f"{p50:.1f} {p99:.1f} {rate:.1f}", flush=True)
    # Not waiting for calls that have no end.
    os._exit(0)


if __name__ == "__main__":
    mode, *args = sys.argv[1:]
    one = "--one-connection" in args
    args = [arg for arg in args if not arg.startswith("--")]
    if mode == "move":
        move(*args)
    else:
        beside(*args, one)
