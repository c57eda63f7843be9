"""Proxies before the hub: the files of deploy/proxies, with the ports and certificates of this run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpcurl
from balancers import ends_at
from harness import (
    REPO,
    TOOLS,
    Hub,
    Process,
    Route,
    check,
    command,
    eventually,
    logged,
    succeed,
)
from programs import client

FILES = REPO / "deploy/proxies"
# What a person changes in these files, too.
PORT, HUB_PORT = re.compile(r"\b443\b"), re.compile(r"\b8080\b")
CERTIFICATE, KEY, BOTH = "/etc/ssl/hub.pem", "/etc/ssl/hub.key", "/etc/ssl/hub-and-key.pem"
FOLDER = "/etc/traefik"

# Of the Go client's. Large ones, because proxies have limits for what one request may send.
PEER_CASES = (
    "unary client-stream server-stream bidi metadata error-details trailers-only deadline cancel "
    "cancel-silent large-upload large-download reflection health"
).split()
# What a proxy does to calls, hub or not: docs/proxies.md says so.
FAILS = {"apache": ("metadata", "error-details", "cancel", "cancel-silent")}
# These put many callers on one connection to the hub.
MERGING = ("nghttpx", "envoy", "caddy")
# What they let pass that the hub does not.
MALFORMED = {"nghttpx": ("-H", "host: a@b"), "caddy": ("--request-target", "/a?q=x y")}
# What agent and client say of answers that are no hub's.
BEFORE_HUB = "something in front of the hub"
# Of gRPC's codes.
UNAVAILABLE = 14
# These answer calls by themselves, as gRPC.
ANSWERS_GRPC = ("envoy",)
CALLERS = 4
BAD_REQUESTS = 600


@dataclass
class Proxy:
    """A program and its file."""

    program: str
    # The command line, for a file in a folder where the program may write.
    argv: object
    file: str
    # Other files that this one names.
    more: tuple = ()
    # It passes TLS through, and says by the PROXY protocol whose connections these are.
    passes_tls: bool = False
    # A part of the program that it has to have.
    part: str = "/"
    # What a case changes in the file: pairs of what is there and what comes in its place.
    edits: tuple = ()

    def path(self):
        """Where the program is, or None."""
        if not Path(self.part).exists():
            return None
        own = TOOLS / "proxies/bin"
        return shutil.which(self.program, path=f"{os.environ['PATH']}:/usr/sbin:{own}")


def nginx(folder, file):
    return ["-p", folder, "-e", "stderr", "-c", file, "-g", f"daemon off; pid {folder}/pid;"]


def haproxy(_folder, file):
    return ["-db", "-f", file]


def envoy(_folder, file):
    return ["--disable-hot-restart", "--concurrency", "2", "-l", "warning", "-c", file]


def caddy(_folder, file):
    return ["run", "--adapter", "caddyfile", "--config", file]


def apache(folder, file):
    before = ["-C", f"PidFile {folder}/pid", "-C", "ErrorLog /dev/stderr"]
    return ["-d", folder, "-f", file, *before, "-DFOREGROUND"]


def nghttpx(_folder, file):
    return [f"--conf={file}"]


def traefik(_folder, file):
    return [f"--configfile={file}"]


# What Debian has in a package of its own, and the file names.
STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"
PROXIES = {
    "haproxy-tcp": Proxy("haproxy", haproxy, "haproxy-tcp.cfg", passes_tls=True),
    "nginx-stream": Proxy("nginx", nginx, "nginx-stream.conf", passes_tls=True, part=STREAM),
    "haproxy": Proxy("haproxy", haproxy, "haproxy.cfg"),
    "haproxy-h2": Proxy("haproxy", haproxy, "haproxy-h2.cfg"),
    "nginx": Proxy("nginx", nginx, "nginx.conf"),
    "envoy": Proxy("envoy", envoy, "envoy.yaml"),
    "caddy": Proxy("caddy", caddy, "Caddyfile"),
    "apache": Proxy("apache2", apache, "apache.conf"),
    "nghttpx": Proxy("nghttpx", nghttpx, "nghttpx.conf"),
    "traefik": Proxy("traefik", traefik, "traefik.yaml", ("traefik-hub.yaml",)),
}
# Callers and agents share connections to the hub.
HAPROXY_H2 = Proxy(
    "haproxy",
    haproxy,
    "haproxy-h2.cfg",
    edits=(("backend hub\n", "backend hub\n    http-reuse always\n"),),
)
# All that Envoy sends to the hub is HTTP/2, the agents' WebSockets too.
ENVOY_H2 = Proxy(
    "envoy",
    envoy,
    "envoy.yaml",
    edits=(("route: { cluster: agents,", "route: { cluster: callers,"),),
)


# === the proxy before a hub ===


@contextmanager
def before_hub(world, proxy, *flags):
    """A hub of its own, and the proxy before it, which callers and agents take for the hub."""
    if proxy.passes_tls:
        flags = (*flags, "--proxy-protocol", "127.0.0.1")
    else:
        flags = (*flags, "--trusted-proxies", "127.0.0.1")
    with world.own_hub("tls" if proxy.passes_tls else "h2c", *flags) as own:
        port, process = started(world, proxy, own.port)
        front = Hub(own.process, "tls", port, own.admin, world.ca)
        own.agents = front.agents
        yield own, front
        # Some proxies wait for what they carry.
        for end in (Process.terminate, Process.wait):
            for agent in front.agents.values():
                end(agent)
        process.stop()


def started(world, proxy, hub_port):
    """Its port, and the process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = world.logs / f"{proxy.program}-{port}"
    folder.mkdir()
    (folder / "both.pem").write_text(
        "".join((world.certs / name).read_text() for name in ("hub.pem", "hub.key"))
    )
    for name in (proxy.file, *proxy.more):
        text = (FILES / name).read_text()
        for there, instead in proxy.edits:
            check(there in text, f"{there!r} is not in {name}")
            text = text.replace(there, instead)
        for documented, here in (
            (BOTH, folder / "both.pem"),
            (CERTIFICATE, world.certs / "hub.pem"),
            (KEY, world.certs / "hub.key"),
            (FOLDER, folder),
        ):
            text = text.replace(documented, str(here))
        text = HUB_PORT.sub(str(hub_port), PORT.sub(str(port), text))
        (folder / name).write_text(text.replace("\nhttp {\n", f"\nhttp {{\n{scratch(folder)}"))
    argv = [proxy.path(), *proxy.argv(folder, folder / proxy.file)]
    process = world.start(proxy.program, argv)

    def serves_hub():
        check(process.popen.poll() is None, f"it has ended:\n{process.tail()}")
        argv = ["curl", "-q", "-s", "--cacert", world.ca, f"https://localhost:{port}/"]
        return command(*argv, "-w", "%header{hub-reason}").stdout.endswith("no-name")

    # Some listen before they know where to.
    eventually(serves_hub, f"{proxy.program} leads to the hub", 20)
    return port, process


def scratch(folder):
    """Where nginx may write if it is not root."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kinds)


def told(process):
    """The outcomes that a peer's client tells."""
    return [json.loads(line) for line in process.lines() if line.startswith('{"case"')]


@contextmanager
def holders(world, route, count):
    """Callers, each with a connection of its own and a stream that is open; none of them may lose it."""
    running = [world.start("hold", route.peer("go", "hold")) for _ in range(count)]
    for process in running:
        process.wait_for(re.compile("^OPEN$").match, "its stream is open")
    yield
    for process in running:
        process.say("go on")
    lost = [process.title for process in running if process.wait() != 0]
    check(not lost, f"{len(lost)} of {count} have lost their streams:\n{running[0].tail()}")


def answers(route, *flags):
    """A unary call comes back."""
    succeed(*route.grpcurl(f"{grpcurl.ECHO}/Unary", flags=[*grpcurl.SCHEMA, *flags], data="{}"))


# === cases ===


def serves(world, _hub, title):
    """An agent registers through it; calls of all kinds pass, with metadata, trailers and error details."""
    with before_hub(world, PROXIES[title]) as (_, front):
        route = world.through(front, "go")
        answers(route, "-H", f"x-long: {'v' * 20_000}")
        wanted = [case for case in PEER_CASES if case not in FAILS.get(title, ())]
        client = world.start(f"client-{title}", [*route.peer("go", "client"), *wanted])
        client.wait(60)
        outcomes = told(client)
        bad = [f"{one['case']}: {one.get('why')}" for one in outcomes if not one["ok"]]
        check(not bad and len(outcomes) == len(wanted), f"{bad}\n{client.tail()}")


def refuses(world, _hub, title):
    """The hub's own answer comes with its reason."""
    with before_hub(world, PROXIES[title], "--park-timeout", "0s") as (_, front):
        grpcurl.unknown_name(world, front)


def tells_addresses(world, _hub, title):
    """The hub knows an agent by its own address."""
    with before_hub(world, PROXIES[title]) as (_, front):
        world.through(front, "go")
        peer = front.process.wait_for(logged("registered"), "it knows the agent")["peer"]
        ends = ends_at(front.port)
        check(peer in ends, f"the agent is at {peer}, not at {ends}")


def forwards_addresses(world, _hub, title):
    """The hub knows by its own address who dials as an agent, whatever it says itself."""
    with before_hub(world, PROXIES[title]) as (_, front):
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-protocol": "hub-tunnel.v2",
            "hub-name": "not a name",
            "x-forwarded-for": "203.0.113.7",
        }
        here = own_address()
        argv = ["curl", "-q", "-sS", "--http1.1", "--max-time", 20, "--interface", here]
        argv += ["--resolve", f"localhost:{front.port}:{here}", "--cacert", front.ca]
        argv += [part for pair in headers.items() for part in ("-H", ": ".join(pair))]
        succeed(*argv, f"https://{front.target}/ws")
        line = front.process.wait_for(logged("registration refused"), "it refuses a bad name")
        check(line["peer"].startswith(here), f"it comes from {line['peer']}, not {here}")


def own_address():
    """One of this machine that is not loopback, of which Envoy thinks in its own way, if there is one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        try:
            unsent.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.9"
        return unsent.getsockname()[0]


def bad_requests(world, _hub, title):
    """One caller asks what no gRPC server has, again and again; no other caller of the same proxy notices."""
    with before_hub(world, PROXIES[title]) as (_, front):
        route = world.through(front, "go")
        with holders(world, route, CALLERS):
            # What gRPC servers say to whoever is no gRPC client.
            asks(route, ("--request-target", '/a?q="x"'), "415 ")
            if title in MALFORMED:
                asks(route, MALFORMED[title], "400 bad-request")


def asks(route, flags, expected):
    """Many requests over one connection."""
    argv = ["curl", "-q", "-sS", "--http2", "--cacert", route.ca, "-H", f"name: {route.name}"]
    argv += ["-w", "%{http_code} %header{hub-reason}\n", *flags, "-K", "-"]
    one = f'url = "https://{route.target}/"\noutput = "{os.devnull}"\n'
    found = Counter(succeed(*argv, stdin=one * BAD_REQUESTS).splitlines())
    check(found == {expected: BAD_REQUESTS}, f"{flags} is answered with {found}")


def nobody_loses_a_call(world, _hub):
    """An agent dials over the connection that carries other callers' streams."""
    with before_hub(world, HAPROXY_H2) as (own, front):
        straight = world.through(own, "go")
        route = Route(front.target, straight.name, front.ca, straight.processes)
        _, address = world.upstream("go")
        with holders(world, route, 15):
            late = world.agent(front, "late", "--upstream", address)
            answers(Route(front.target, "late", front.ca, [front.process, late]))


def forty_agents(world, _hub):
    """Each has one session, and all share the proxy's connections with a caller's stream."""
    with before_hub(world, ENVOY_H2) as (_, front):
        route = world.through(front, "go")
        _, address = world.upstream("go")
        with holders(world, route, CALLERS):
            for number in range(40):
                name = f"agent-{number}"
                agent = world.agent(front, name, "--upstream", address, "--sessions", "1")
                answers(Route(front.target, name, front.ca, [front.process, agent]))


def says_who_answers(world, _hub, title):
    """Where the hub is away, agent and client say that something before it has answered, and what."""
    with before_hub(world, PROXIES[title]) as (own, front):
        agent = world.agent(front, "late", "--sessions", "1")
        own.process.stop()

        def said_by_agent(line):
            is_it = BEFORE_HUB in line and "HTTP 50" in line
            return json.loads(line)["error"] if is_it else None

        agent.wait_for(said_by_agent, "the agent tells who has answered", 30)
        failed = command(*client(world, front, "hub", "list-clients"), stdin="{}")
        said = failed.stderr.strip()
        check(failed.returncode == UNAVAILABLE, f"it ends with {failed.returncode}: {said}")
        check(BEFORE_HUB in said or title in ANSWERS_GRPC, f"the client says {said}")
        return said


EACH = {"serves": serves, "refuses": refuses}
MORE = {
    "haproxy-h2": {"nobody-loses-a-call": nobody_loses_a_call},
    "envoy": {"h2-40-agents": forty_agents},
}


def cases(title):
    """Those of a proxy, by name."""
    by_title = dict(EACH)
    if title in MERGING:
        by_title["bad-requests"] = bad_requests
    passes_tls = PROXIES[title].passes_tls
    if not passes_tls:
        by_title["without-hub"] = says_who_answers
    by_title["addresses"] = tells_addresses if passes_tls else forwards_addresses
    found = {name: partial(run, title=title) for name, run in by_title.items()}
    return {f"{title}-{name}": run for name, run in {**found, **MORE.get(title, {})}.items()}
