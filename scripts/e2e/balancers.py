"""Balancers that pass connections on as they are, and say whose they are: the PROXY protocol."""

from __future__ import annotations

import re
import socket

from grpcurl import ECHO
from harness import Hub, check, eventually, logged, succeed

# What HAProxy does to a connection.
CONFIG = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen hub
    bind 127.0.0.1:{front}
    server hub 127.0.0.1:{hub} {sends}
"""


def says_so(sends):
    """An agent and a caller come through it; the hub knows them by their own addresses."""

    def case(world, hub):
        with world.own_hub(hub.transport, "--proxy-protocol", "127.0.0.1") as own:
            front, haproxy = through_haproxy(world, own, sends)
            before = Hub(own.process, own.transport, front, own.admin, own.ca)
            route = world.through(before, "go")
            own.agents = before.agents
            succeed(*route.grpcurl(f"{ECHO}/Unary", data="{}"))
            peer = own.process.wait_for(logged("registered"), "it knows the agent")["peer"]
            check(peer in ends_at(front), f"the agent is at {peer}, not at {ends_at(front)}")
            haproxy.stop()

    return case


def is_not_believed(world, hub):
    """From a network that is not listed: said in the log, with the cure."""
    with world.own_hub(hub.transport) as own:
        front, haproxy = through_haproxy(world, own, "send-proxy-v2")
        with socket.create_connection(("127.0.0.1", front), 20) as tcp:
            tcp.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            check(tcp.recv(1) == b"", "the hub answers")
        line = own.process.wait_for(logged("connection not opened"), "it is told")
        check("--proxy-protocol" in line["error"], f"{line}")
        haproxy.stop()


def through_haproxy(world, hub, sends):
    """A HAProxy before the hub: its port, and the process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        front = free.getsockname()[1]
    config = world.logs / f"haproxy-{front}.cfg"
    config.write_text(CONFIG.format(front=front, hub=hub.port, sends=sends))
    process = world.start("haproxy", ["haproxy", "-db", "-f", config])

    def listens():
        check(process.popen.poll() is None, f"it has ended:\n{process.tail()}")
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", front)) == 0

    eventually(listens, "HAProxy listens", 20)
    return front, process


def ends_at(port):
    """The addresses of those that are connected with this port of this machine."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        ends = re.findall(
            r"^ *\d+: 0100007F:([0-9A-F]{4}) 0100007F:([0-9A-F]{4}) 01", table.read(), re.M
        )
    return [f"127.0.0.1:{int(local, 16)}" for local, far in ends if int(far, 16) == port]


CASES = {
    "proxy-v1": says_so("send-proxy"),
    "proxy-v2": says_so("send-proxy-v2"),
    "proxy-v2-tls": says_so("send-proxy-v2-ssl-cn"),
    "proxy-not-believed": is_not_believed,
}
