"""A network without a way out but a proxy: a hub beyond it, an agent and a client inside."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
from contextlib import contextmanager
from pathlib import Path

from grpcurl import ECHO
from harness import check, command, eventually, logged, succeed

NAMESPACE = "grpc-hub-e2e"
# The cable's two ends, and where the hub is: nobody inside has a route to that.
OUTSIDE, INSIDE, BEYOND = "10.98.1.1", "10.98.1.2", "10.99.1.1"
LINKS = ("hub-e2e-out", "hub-e2e-in")
SQUID = Path("/etc/squid/squid.conf")
FOR_GOOD = "not registered; this needs a change of configuration"
USER, PASSWORD = "agent", "it's a secret: 100%"
# As it stands in a URL.
WRITTEN = "it%27s%20a%20secret%3A%20100%25"


def ip(*words):
    """Changes the machine's network."""
    succeed("ip", *words)


@contextmanager
def network():
    """Puts it up, and takes it down again."""
    torn_down()
    try:
        ip("netns", "add", NAMESPACE)
        ip("link", "add", LINKS[0], "type", "veth", "peer", "name", LINKS[1], "netns", NAMESPACE)
        ip("addr", "add", f"{OUTSIDE}/30", "dev", LINKS[0])
        ip("link", "set", LINKS[0], "up")
        ip("addr", "add", f"{BEYOND}/32", "dev", "lo")
        for words in (
            f"addr add {INSIDE}/30 dev {LINKS[1]}",
            f"link set {LINKS[1]} up",
            "link set lo up",
        ):
            ip("-n", NAMESPACE, *words.split())
        yield
    finally:
        torn_down()


def torn_down():
    """What is not there need not go."""
    command("ip", "netns", "del", NAMESPACE)
    command("ip", "link", "del", LINKS[0])
    command("ip", "addr", "del", f"{BEYOND}/32", "dev", "lo")


def inside(*argv):
    """A command line, run in the closed network."""
    return ["ip", "netns", "exec", NAMESPACE, "env", *argv]


def through_squid(world, _hub):
    """Debian's own file, which lets in nobody from elsewhere and connects to port 443 only; and users with passwords."""
    with network():
        folder = world.sockets / "squid"
        (folder / "conf.d").mkdir(parents=True)
        hashed = succeed("openssl", "passwd", "-apr1", "-stdin", stdin=f"{PASSWORD}\n").strip()
        (folder / "users").write_text(f"{USER}:{hashed}\n")
        (folder / "conf.d/users.conf").write_text(
            f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/users\n"
            "acl known proxy_auth REQUIRED\nhttp_access allow known\n"
        )
        debian = SQUID.read_text().replace("/etc/squid/conf.d", f"{folder}/conf.d")
        debian = debian.replace("\nhttp_port 3128", f"\nhttp_port {OUTSIDE}:3128")
        check(f"{folder}/conf.d" in debian and OUTSIDE in debian, "squid's file is another")
        more = [f"pid_filename {folder}/pid", f"cache_log {folder}/log", "access_log none"]
        (folder / "squid.conf").write_text("\n".join([debian, *more, "shutdown_lifetime 0", ""]))
        for path in (world.sockets, folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.chown(folder, "proxy")
        process = world.start("squid", ["squid", "-N", "-f", folder / "squid.conf"])
        registers_and_serves(world, process, f"http://{{}}{OUTSIDE}:3128")


def through_socks(world, _hub):
    """A SOCKS5 server, with user and password."""
    with network():
        argv = ["microsocks", "-i", OUTSIDE, "-p", "1080", "-u", USER, "-P", PASSWORD]
        process = world.start("microsocks", argv)
        registers_and_serves(world, process, f"socks5h://{{}}{OUTSIDE}:1080")


def registers_and_serves(world, proxy, url):
    """An agent registers through it, and a client calls; and whoever says no password is told so."""
    port = int(re.search(r":(\d+)$", url).group(1))
    eventually(lambda: is_open(proxy, port), f"{proxy.title} listens", 20)
    hub = world.start("hub-beyond", [world.bin / "hub", *hub_flags(world)])
    hub.wait_for(logged("listening"), "it listens")
    upstream, _ = world.upstream("go")
    there = world.start("upstream-inside", inside(*upstream.popen.args))
    address = there.wait_for(re.compile(r"^READY (\S+)$").match, "it is ready").group(1)
    agent = [world.bin / "agent", "--name", "inside", "--hub-uri", f"wss://{BEYOND}/ws"]
    agent += ["--tls-insecure-skip-verify", "--upstream", address, "--log-format", "json"]
    straight = world.start("agent-straight", inside(*agent))
    told = straight.wait_for(logged("not registered"), "there is no way out")["error"]
    check("cannot connect: Network is unreachable" in told, f"there is another way out: {told}")
    stranger = world.start("agent-stranger", inside(*agent, "--proxy", url.format("")))
    told = stranger.wait_for(logged(FOR_GOOD), "it is refused")["error"]
    cure = url.split(":")[0] + "://user:password@host:port"
    check(cure in told and OUTSIDE in told, f"without a password: {told}")
    # As everybody else on such a machine is told, too.
    known = f"HTTPS_PROXY={url.format(f'{USER}:{WRITTEN}@')}"
    process = world.start("agent-inside", inside(known, *agent))
    process.wait_for(logged("registered"), "it is registered")
    call = [world.bin / "client", "--hub", f"https://{BEYOND}", "--tls-insecure-skip-verify"]
    succeed(*inside(known, *call, "call", "inside", f"{ECHO}/Unary"), stdin="{}")
    outside = [world.bin / "client", "--hub", f"https://{BEYOND}", "--tls-insecure-skip-verify"]
    succeed(*outside, "call", "inside", f"{ECHO}/Unary", stdin="{}")
    for logs in (process, straight, stranger):
        said = logs.log.read_text()
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        told_it = [form for form in (WRITTEN, PASSWORD, basic) if form in said]
        check(not told_it, f"{logs.title} tells the password")
    for ending in (process, straight, stranger, hub, there, proxy):
        ending.stop()


def hub_flags(world):
    """A hub at the port of https, beyond the proxy."""
    flags = ["--listen", f"{BEYOND}:443", "--admin-listen", "none", "--log-format", "json"]
    return [*flags, "--tls", *world.certificate()]


def is_open(process, port):
    """Whether somebody listens there."""
    ended = process.popen.poll()
    check(ended is None, f"{process.title} ended with {ended}:\n{process.tail()}")
    with socket.socket() as tried:
        return tried.connect_ex((OUTSIDE, port)) == 0


# By the program that has to be installed.
CASES = {
    "squid": {"registers-and-serves": through_squid},
    "microsocks": {"registers-and-serves": through_socks},
}


def why_not():
    """What a closed network lacks here."""
    if os.geteuid() != 0:
        return "only root makes networks"
    for program in ("ip", "openssl"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    torn_down()
    made = command("ip", "netns", "add", NAMESPACE)
    torn_down()
    return None if made.returncode == 0 else f"no network is to be had: {made.stderr.strip()}"
