"""A hub under a service manager: a socket that outlives it, and what it tells of itself."""

from __future__ import annotations

import re
import socket
import time
import urllib.request

from grpcurl import ECHO
from harness import REPO, Hub, check, command, eventually, logged, succeed

# How often the hub is to say that it makes progress.
WATCHDOG_S = 2


def socket_activated(world, _hub):
    """The first connection starts the hub, which takes over both sockets that systemd listens at, as its unit has them."""
    with (
        socket.create_server(("127.0.0.1", 0)) as free,
        socket.create_server(("127.0.0.1", 0)) as another,
    ):
        port, admin = (listener.getsockname()[1] for listener in (free, another))
    listens = ["--listen", f"127.0.0.1:{port}", "--listen", f"127.0.0.1:{admin}"]
    argv = ["systemd-socket-activate", *listens, *program(world, port=1)]
    process = world.start("hub-activated", argv)
    process.wait_for(re.compile(rf"^Listening on \S+:{admin} ").match, "systemd listens")
    hub = Hub(process, "h2c", port, f"127.0.0.1:{admin}", None)
    route = world.through(hub, "go")
    address = process.wait_for(logged("listening"), "the hub listens")["address"]
    check(address == f"127.0.0.1:{port}", f"it listens at {address}")
    check(
        "hub_agents 1" in fetch(hub.admin, "/metrics"), "its metrics are not at the second socket"
    )
    succeed(*route.grpcurl(f"{ECHO}/Unary", data="{}"))
    end(hub)


def units(world, _hub):
    """systemd has no fault to find with the units, but that the programs are where they are built."""
    folder = world.sockets / "units"
    folder.mkdir()
    for unit in (REPO / "deploy").glob("grpc-hub*"):
        text = unit.read_text().replace("/usr/local/bin", str(world.bin))
        (folder / unit.name).write_text(text)
    for unit in sorted(folder.iterdir()):
        name = unit.name.replace("@.", "@a.")
        said = command("systemd-analyze", "verify", unit.with_name(name))
        words = said.stdout + said.stderr
        check(said.returncode == 0 and not words, f"{name}: {words}")


def fetch(admin, path):
    """What the admin listener says."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{admin}{path}", timeout=5) as response:
        return response.read().decode()


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


ACTIVATED = {"socket-activated": socket_activated, "units": units}
CASES = {
    "told-to-systemd": told_to_systemd,
    "passed-on": passed_on,
}
