"""A hub with agents, upstreams, proxies that break connections, and a caller that never stops."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from functools import cache

from files import Files
from harness import DIRECT, TOOLS, Failed, check, eventually, logged, succeed

LISTENING = re.compile(r"^listening (\S+:\d+)$")
PORT = re.compile(r"^(\d+)$")
# What the hub says of itself that tells of a fault.
TELLING = re.compile(
    r"^hub_(agents|sessions|registrations_total|\w*(suspect|suspic|drain|upstream|replaced|parked)\w*)"
    r"(\{[^}]*\})? (\S+)$",
    re.MULTILINE,
)
# Between two looks at it.
LOOK_S = 0.02
# Of a frozen or dead admin port.
ADMIN_LIMIT_S = 5
# For a hub or an agent that drains: its own limit is 30 s.
DRAIN_LIMIT_S = 45


@cache
def help_of(program):
    """What a program says of itself."""
    return succeed(program, "--help")


class NotBuilt(Exception):
    """The programs cannot do this yet."""


class Caller:
    """`steady`, which calls without a pause."""

    def __init__(self, site, *flags, title="steady"):
        argv = [site.options.programs / "steady", f"127.0.0.1:{site.port}", *flags]
        argv += site.files.of_callers if site.files else []
        self.process = site.world.start(title, argv)
        self.reports = 0

    def mark(self):
        """Counts anew from now on."""
        marks = self.count("marked")
        self.process.say("mark")
        eventually(lambda: self.count("marked") > marks, "steady obeys", 30)

    def report(self):
        """What has ended since the mark."""
        self.reports += 1
        label = str(self.reports)
        self.process.say(f"report {label}")
        return self.wait_for(lambda told: told.get("report") == label)

    def stop(self, limit_s=60):
        """No more calls; returns what became of all."""
        self.process.say("stop")
        final = self.wait_for(lambda told: "final" in told, limit_s)
        self.process.wait()
        return final

    def wait_for(self, fits, limit_s=30):
        """The first line that fits."""

        def find(line):
            try:
                told = json.loads(line)
            except ValueError:
                return None
            return told if fits(told) else None

        return self.process.wait_for(find, "it tells", limit_s)

    def count(self, key):
        """Lines that say so."""
        return sum(f'"{key}":' in line for line in self.process.lines())


class GoCaller:
    """grpc-go, which calls without a pause; None of it where it is not installed."""

    program = TOOLS / "bin/go-steady"

    def __init__(self, site, name, rate, deadline_s):
        argv = [self.program, f"127.0.0.1:{site.port}", name, rate, deadline_s]
        argv += site.files.of_callers[1:] if site.files else []
        self.process = site.world.start("go-steady", argv)

    def stop(self, limit_s=60):
        """No more calls; returns what became of all."""
        self.process.popen.stdin.close()
        self.process.popen.wait(limit_s)
        return json.loads(self.process.lines()[-1])


class Proxy:
    """`fault` before a port."""

    def __init__(self, site, port, title="fault"):
        argv = [site.options.programs / "fault", "--to", f"127.0.0.1:{port}"]
        self.process = site.world.start(title, argv)
        self.port = int(self.process.wait_for(PORT.match, "it listens").group(1))
        self.orders = 0

    def order(self, line):
        """Orders, and waits until it is so."""
        self.orders += 1
        self.process.say(line)

        def answers():
            return self.process.lines()[1:]

        eventually(lambda: len(answers()) >= self.orders, f"{line} is obeyed")
        check(answers()[-1] == "ok", f"{line}: {answers()[-1]}")


class Upstream:
    """tonic's, which keeps its port when it is started anew."""

    def __init__(self, site, title="upstream"):
        self.site, self.title, self.port = site, title, 0
        self.start()

    def start(self):
        """Starts it, on the port that it had."""
        argv = [self.site.options.programs / "isolation", "upstream", "--kind", "tonic"]
        argv += ["--listen", f"127.0.0.1:{self.port}"]
        self.process = self.site.world.start(self.title, argv)
        line = self.process.wait_for(LISTENING.match, "it listens")
        self.port = int(line.group(1).rsplit(":", 1)[1])

    def restart(self):
        """As a rollout does it: it drains, and another is there."""
        self.process.terminate()
        self.process.wait(DRAIN_LIMIT_S)
        self.start()


class Site:
    """Everything of one run. `kind` is how the hub gets its port: plain, socket or reuse-port. With `has_files`, it
    and its agents are told things in files that they read anew."""

    def __init__(self, world, options, kind="plain", hub_flags=(), has_files=False):
        self.world, self.options, self.kind = world, options, kind
        self.files = Files(world.logs) if has_files else None
        of_files = self.files.of_hub if self.files else []
        self.hub_flags = [str(flag) for flag in (*of_files, *hub_flags)]
        self.port, self.socket = 0, None
        self.starts = {}
        if kind == "socket":
            self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self.port = self.socket.getsockname()[1]
        if kind == "reuse-port" and "--reuse-port" not in help_of(world.bin / "hub"):
            raise NotBuilt
        self.start_hub()

    def close(self):
        """Gives the port away, where it is ours."""
        if self.socket:
            self.socket.close()

    # --- hub ---

    def start_hub(self):
        """Starts one, on the port that it had."""
        argv = [self.world.bin / "hub", "--listen", f"127.0.0.1:{self.port}"]
        argv += ["--admin-listen", "127.0.0.1:0", "--log-format", "json", *self.hub_flags]
        argv += ["--reuse-port"] if self.kind == "reuse-port" else []
        fds = ()
        if self.socket:
            fd = self.socket.fileno()
            fds = (fd,)
            passed = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&{fd}'
            # Whoever ignores the socket is to be found out, not to find the port taken.
            argv[2] = "127.0.0.1:0"
            argv = ["sh", "-c", passed, "sh", *argv]
        self.hub = self.world.start("hub", argv, fds)
        address = self.hub.wait_for(logged("listening"), "it listens")["address"]
        self.admin = self.hub.wait_for(logged("admin listening"), "its admin port")["address"]
        port = int(address.rsplit(":", 1)[1])
        if self.socket and port != self.port:
            raise NotBuilt
        self.port = port
        return self.hub

    def restart_hub(self):
        """As systemd does it: the old one drains, then the new one starts."""
        self.hub.terminate()
        self.hub.wait(DRAIN_LIMIT_S)
        self.start_hub()

    def replace_hub(self):
        """In place: the new one is ready, then the old one drains."""
        old = self.hub
        self.start_hub()
        eventually(lambda: self.page("readyz") is not None, "the new hub is ready", 20)
        old.terminate()
        old.wait(DRAIN_LIMIT_S)

    def page(self, path):
        """A page of the hub's admin port; None if there is none."""
        try:
            url = f"http://{self.admin}/{path}"
            with DIRECT.open(url, timeout=ADMIN_LIMIT_S) as page:
                return page.read().decode()
        except OSError:
            return None

    def told(self):
        """What the hub says of its agents: names and values."""
        page = self.page("metrics")
        return page and {(found[1], found[0]) for found in TELLING.finditer(page)}

    def metric(self, name):
        """A metric's value, its labels summed up; 0 where the hub has none."""
        page = self.page("metrics") or ""
        values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", page, re.MULTILINE)
        return sum(float(value) for value in values)

    def reload(self, agents):
        """It and these agents read other files than before."""
        self.files.rewrite()
        done = self.metric("hub_reloads_total")
        for process in (self.hub, *agents):
            process.hang_up()
        eventually(lambda: self.metric("hub_reloads_total") > done, "it has read its files anew")
        check('result="failed"' not in self.page("metrics"), f"a reload failed:\n{self.hub.tail()}")

    # --- agents ---

    def agent(self, name, upstream, *flags, title=None, through=None):
        """Starts an agent that is registered when this returns."""
        agent = self.begin_agent(name, upstream, *flags, title=title, through=through)
        agent.wait_for(logged("registered"), "it is registered")
        return agent

    def begin_agent(self, name, upstream, *flags, title=None, through=None):
        """Starts an agent."""
        port = through.port if through else self.port
        argv = [self.world.bin / "agent", "--name", name, "--log-format", "json", *flags]
        argv += ["--hub-uri", f"ws://127.0.0.1:{port}/ws"]
        argv += ["--upstream", f"127.0.0.1:{upstream.port}"]
        argv += self.files.of_agents if self.files else []
        return self.world.start(title or "agent", argv)

    def restart_agent(self, agent, *again):
        """It drains, and another starts; returns that."""
        agent.terminate()
        agent.wait(DRAIN_LIMIT_S)
        return self.agent(*again)


class Notices:
    """Looks at the hub until it says that something has changed."""

    def __init__(self, site):
        self.site, self.before = site, site.told()
        self.begin = time.monotonic()
        self.after_s, self.what = None, []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        """Until it does, or nobody wants to know."""
        while not self.stopped.wait(LOOK_S):
            told = self.site.told()
            if told is not None and told != self.before:
                self.after_s = time.monotonic() - self.begin
                self.what = sorted({name for name, _ in told ^ (self.before or set())})
                return

    def stop(self):
        """Seconds after which it did, None if it did not, and which metrics."""
        self.stopped.set()
        self.thread.join(ADMIN_LIMIT_S + 1)
        return self.after_s, ", ".join(self.what)


def freeze(process):
    """Stops it where it is."""
    process.popen.send_signal(signal.SIGSTOP)


def thaw(process):
    """Lets it go on."""
    if process.popen.poll() is None:
        process.popen.send_signal(signal.SIGCONT)


def crash(process):
    """Ends it as a power cut would, and waits for that."""
    process.kill()
    process.popen.wait()


def alive(process):
    """Fails if it has ended."""
    ended = process.popen.poll()
    if ended is not None:
        raise Failed(f"{process.title} has ended with {ended}\n{process.tail()}")
