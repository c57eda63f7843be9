"""A hub under a service manager: a socket that outlives it, and what it tells of itself."""

from __future__ import annotations

import re
import socket
import time

from grpcurl import ECHO
from harness import Hub, check, eventually, logged, succeed

# How often the hub is to say that it makes progress.
WATCHDOG_S = 2


def socket_activated(world, _hub):
    """The first connection starts the hub, which takes over the socket that systemd listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = ["systemd-socket-activate", "--listen", f"127.0.0.1:{port}", *program(world, port=1)]
    process = world.start("hub-activated", argv)
    process.wait_for(re.compile(r"^Listening on \S+").match, "systemd listens")
    hub = Hub(process, "h2c", port, "", None)
    route = world.through(hub, "go")
    address = process.wait_for(logged("listening"), "the hub listens")["address"]
    check(address == f"127.0.0.1:{port}", f"it listens at {address}")
    succeed(*route.grpcurl(f"{ECHO}/Unary", data="{}"))
    end(hub)


def told_to_systemd(world, _hub):
    """READY, RELOADING with its time, WATCHDOG, STOPPING: what `Type=notify` is told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(world.sockets / "notify"))
        told.settimeout(10 * WATCHDOG_S)
        variables = [f"NOTIFY_SOCKET={world.sockets}/notify", f"WATCHDOG_USEC={WATCHDOG_S}000000"]
        hub = world.start("hub-notify", ["env", *variables, *program(world)])
        hear(told, "READY=1")
        for _ in range(2):
            hear(told, "WATCHDOG=1")
        before = time.monotonic_ns() // 1000
        hub.hang_up()
        words = hear(told, "RELOADING=1")
        when = int(re.search(r"^MONOTONIC_USEC=(\d+)$", words, re.M).group(1))
        check(before <= when <= time.monotonic_ns() // 1000, f"{words}, after {before}")
        hear(told, "READY=1")
        hub.terminate()
        hear(told, "STOPPING=1")
        check(hub.wait() == 0, "it does not exit with 0")


def hear(told, word):
    """What the next message says that has this word; whatever else comes meanwhile."""
    while True:
        words = told.recv(4096).decode()
        if word in words.splitlines():
            return words


def passed_on(world, _hub):
    """Two hubs at one socket: the new one serves while the old one's call still runs."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
        old = passed_hub(world, listening)
        caller = world.start("hold", world.through(old, "go").peer("go", "hold"))
        caller.wait_for(re.compile("^OPEN$").match, "the stream is open")
        new = passed_hub(world, listening)
        old.process.terminate()
        old.process.wait_for(logged("draining"), "the old one leaves")
        new.process.wait_for(logged("registered"), "the agent is here")
        new.agents, old.agents = old.agents, {}
        succeed(*world.through(new, "go").grpcurl(f"{ECHO}/Unary", data="{}"))
        check(old.process.popen.poll() is None, f"the old one has gone:\n{old.process.tail()}")
        caller.say("go on")
        check(caller.wait() == 0, f"the running call fails:\n{caller.tail()}")
        check(old.process.wait() == 0, "the old one does not exit with 0")
        end(new)


def passed_hub(world, listening):
    """A hub that is given a socket which others have, too."""
    fd = listening.fileno()
    shell = f'exec 3<&{fd}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
    argv = ["bash", "-c", shell, "hub", *program(world)]
    process = world.start("hub-passed", argv, pass_fds=[fd])
    process.wait_for(logged("listening"), "it listens")
    return Hub(process, "h2c", listening.getsockname()[1], "", None)


def program(world, port=0):
    """A hub's command line; where it is given a socket, the address is not used."""
    argv = [world.bin / "hub", "--listen", f"127.0.0.1:{port}", "--admin-listen", "none"]
    return [*argv, "--log-format", "json"]


def end(hub):
    """Ends a hub with its agents."""
    for process in (*hub.agents.values(), hub.process):
        code = process.stop()
        check(code == 0, f"{process.title} exits with {code}")
    eventually(lambda: hub.process.popen.poll() == 0, "it has ended")


ACTIVATED = {"socket-activated": socket_activated}
CASES = {
    "told-to-systemd": told_to_systemd,
    "passed-on": passed_on,
}
