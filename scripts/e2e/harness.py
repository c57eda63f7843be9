"""Processes with logs and deadlines, and the hubs, agents and upstreams the cases run against."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTO = HERE / "proto"
REPO = HERE.parent.parent
TOOLS = Path(os.environ.get("TOOLS_DIR", REPO / ".tools")).resolve()

# What a line begins with by which a peer's client tells how a case went.
OUTCOME = '{"case"'

# Every start, from exec to the log line that says so, on a busy machine.
START_LIMIT_S = 20
# Every end after SIGTERM. Below the hub's own --drain-timeout, 30 s: no test leaves a call running.
STOP_LIMIT_S = 15
# Every single command that is run to its end.
COMMAND_LIMIT_S = 20


# What is on this machine is asked without a proxy, whatever the environment says.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """An expectation that does not hold."""


def check(is_true, why):
    """Fails the case unless `is_true`."""
    if not is_true:
        raise Failed(why)


def eventually(probe, what, limit_s=5):
    """Waits until `probe()` is true and returns what it returned."""
    deadline = time.monotonic() + limit_s
    while True:
        value = probe()
        if value:
            return value
        check(time.monotonic() < deadline, f"{what}: not within {limit_s} s")
        time.sleep(0.01)


def free_ports(count):
    """So many ports that nobody listens at now, for programs that cannot say which they have taken."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def environment():
    """An environment in which no proxy and no one's own HUB_URI changes what the programs do."""
    kept = {key: os.environ[key] for key in ("HOME", "PATH", "TMPDIR") if key in os.environ}
    return {**kept, "PYTHONPATH": str(TOOLS / "python"), "PYTHONDONTWRITEBYTECODE": "1"}


def command(*argv, stdin="", limit_s=COMMAND_LIMIT_S):
    """Runs a command to its end."""
    argv = [str(part) for part in argv]
    return subprocess.run(
        argv,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=limit_s,
        env=environment(),
        check=False,
    )


def succeed(*argv, stdin="", limit_s=COMMAND_LIMIT_S):
    """Runs a command that has to exit with 0, and returns its standard output."""
    done = command(*argv, stdin=stdin, limit_s=limit_s)
    said = (done.stderr.strip() or done.stdout.strip())[-500:]
    check(done.returncode == 0, f"{Path(argv[0]).name} exits with {done.returncode}: {said}")
    return done.stdout


class Process:
    """A running program whose output goes to a log file."""

    def __init__(self, title, argv, logs, pass_fds=()):
        self.title = title
        self.killed = False
        self.log = logs / f"{title}.log"
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
                cwd=logs,
                pass_fds=pass_fds,
            )

    def lines(self):
        """The whole lines logged so far."""
        text = self.log.read_text("utf-8", "replace")
        return text[: text.rfind("\n") + 1].splitlines()

    def tail(self, count=15):
        """The last lines, for a person: without the outcomes, which the report tells."""
        told = [line for line in self.lines() if not line.startswith(OUTCOME)]
        return "\n".join(f"    {self.title}: {line}" for line in told[-count:])

    def wait_for(self, find, what, limit_s=START_LIMIT_S):
        """Waits for the first line of which `find(line)` is not None, and returns that."""

        def probe():
            ended = self.popen.poll()
            found = next((hit for hit in map(find, self.lines()) if hit is not None), None)
            why = f"{self.title} ended with {ended} before {what}\n{self.tail()}"
            check(found is not None or ended is None, why)
            return [found] if found is not None else None

        return eventually(probe, f"{self.title}: {what}", limit_s)[0]

    def say(self, line):
        """Writes a line to its standard input."""
        self.popen.stdin.write(f"{line}\n".encode())
        self.popen.stdin.flush()

    def terminate(self):
        """Asks it to end."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)

    def hang_up(self):
        """Asks it to read its files anew."""
        self.popen.send_signal(signal.SIGHUP)

    def kill(self):
        """Ends it as a power cut would."""
        self.killed = True
        self.popen.kill()

    def wait(self, limit_s=STOP_LIMIT_S):
        """Waits for its end and returns the exit code; kills it and fails when that takes long."""
        try:
            return self.popen.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            self.popen.kill()
            self.popen.wait()
            raise Failed(f"{self.title} did not end within {limit_s} s\n{self.tail()}") from error

    def stop(self):
        """Ends it and returns the exit code."""
        self.terminate()
        return self.wait()

    def memory(self, key):
        """A line of its /proc status, VmRSS say, in bytes."""
        ended = self.popen.poll()
        check(ended is None, f"{self.title} has ended with {ended}")
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+) kB$", status, re.M).group(1)) * 1024


def after(prefix):
    """A finder of what follows a prefix."""
    return lambda line: line[len(prefix) :] if line.startswith(prefix) else None


def on_path(program):
    """Where a program is that the system has, or that was unpacked here."""
    return shutil.which(program, path=f"{os.environ['PATH']}:{TOOLS / 'bin'}")


def logged(message):
    """A finder of one message in a log of JSON lines; it returns the line's fields."""

    def find(line):
        try:
            entry = json.loads(line)
        except ValueError:
            return None
        fields = entry.get("fields", entry)
        return fields if fields.get("message") == message else None

    return find


@dataclass
class Hub:
    """A running hub."""

    process: Process
    transport: str
    port: int
    admin: str
    ca: Path | None
    agents: dict = field(default_factory=dict)

    @property
    def target(self):
        """What a gRPC client dials. The certificate is good for localhost."""
        return f"localhost:{self.port}" if self.ca else f"127.0.0.1:{self.port}"

    @property
    def uri(self):
        """What our client dials."""
        return f"{'https' if self.ca else 'http'}://{self.target}"

    @property
    def websocket(self):
        """What an agent dials."""
        return f"{'wss' if self.ca else 'ws'}://{self.target}/ws"


@dataclass
class Route:
    """A way to a server: through a hub by name, or straight."""

    target: str
    name: str | None
    ca: Path | None
    processes: list

    def grpcurl(self, *what, flags=(), data=None):
        """A grpcurl command line: its flags, the address, and what to do there."""
        argv = [TOOLS / "bin/grpcurl", "-max-time", str(COMMAND_LIMIT_S), *flags]
        argv += ["-cacert", self.ca] if self.ca else ["-plaintext"]
        argv += ["-H", f"name:{self.name}"] if self.name else []
        argv += ["-d", data] if data is not None else []
        if self.target.startswith("unix:"):
            return [*argv, "-unix", self.target[len("unix:") :], *what]
        return [*argv, self.target, *what]

    def peer(self, kind, program):
        """The command line of a peer's program, Go's or else Python's, calling over this route."""
        argv = [TOOLS / "bin/e2e-go", program]
        if kind == "python":
            argv = [TOOLS / "venv/bin/python", HERE / f"python/{program}.py"]
        argv += ["--target", self.target]
        argv += ["--name", self.name] if self.name else []
        return argv + (["--tls-ca-file", self.ca] if self.ca else [])


class World:
    """Everything that runs. Started when first asked for, ended by `close`.

    `recent` is what the present case has to do with.
    """

    def __init__(self, options):
        # Whoever is asked to end takes down what it has put up.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to end"))
        self.bin = options.bin_dir.resolve()
        self.certs = options.certs.resolve()
        self.logs = Path(options.keep_logs or tempfile.mkdtemp(prefix="e2e-")).resolve()
        self.logs.mkdir(parents=True, exist_ok=True)
        self.keep_logs = bool(options.keep_logs)
        self.sockets = Path(tempfile.mkdtemp(prefix="e2e-"))
        self.running = []
        self.recent = []
        self.upstreams = {}
        self.hubs = {}

    def start(self, title, argv, pass_fds=()):
        """Starts a program that `close` ends; it inherits `pass_fds`."""
        taken = {process.title for process in self.running}
        unique = next(
            t for t in [title, *(f"{title}-{n}" for n in range(2, 10_000))] if t not in taken
        )
        process = Process(unique, argv, self.logs, pass_fds)
        self.running.append(process)
        self.recent.append(process)
        return process

    def certificate(self):
        """The flags of a TLS server. `make gencert` writes the files."""
        if not (self.certs / "hub.pem").exists():
            succeed("make", "-C", REPO, "gencert")
        return ["--tls-cert-file", self.certs / "hub.pem", "--tls-key-file", self.certs / "hub.key"]

    @property
    def ca(self):
        """What a TLS client trusts."""
        return self.certs / "ca.pem"

    def upstream(self, kind):
        """The process and address of a server: go, python or plain, maybe with -unix or -tls."""
        if kind not in self.upstreams:
            language, _, how = kind.partition("-")
            argv = [TOOLS / "bin/e2e-go", "plain" if language == "plain" else "server"]
            if language == "python":
                argv = [TOOLS / "venv/bin/python", HERE / "python/server.py"]
            argv += ["--listen", f"unix:{self.sockets}/{kind}.sock"] if how == "unix" else []
            argv += self.certificate() if how == "tls" else []
            process = self.start(f"upstream-{kind}", argv)
            ready = re.compile(r"^READY (\S+)$")
            line = process.wait_for(ready.match, "it is ready")
            self.upstreams[kind] = process, line.group(1)
        return self.upstreams[kind]

    def hub(self, transport):
        """The hub that most cases share."""
        if transport not in self.hubs:
            self.hubs[transport] = self.new_hub(transport)
        return self.hubs[transport]

    def new_hub(self, transport, *flags, variables=()):
        """Starts a hub of its own, with more in its environment."""
        argv = ["env", *variables, self.bin / "hub", "--log-format", "json"]
        argv += ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        argv += ["--tls", *self.certificate()] if transport == "tls" else []
        process = self.start(f"hub-{transport}", [*argv, *flags])
        address = process.wait_for(logged("listening"), "it listens")["address"]
        admin = process.wait_for(logged("admin listening"), "its admin port listens")["address"]
        ca = self.ca if transport == "tls" else None
        return Hub(process, transport, int(address.rsplit(":", 1)[1]), admin, ca)

    @contextmanager
    def own_hub(self, transport, *flags, variables=()):
        """A hub for one case, which ends with its agents."""
        hub = self.new_hub(transport, *flags, variables=variables)
        try:
            yield hub
        finally:
            for process in (*hub.agents.values(), hub.process):
                process.terminate()
                process.wait()

    def agent(self, hub, name, *flags):
        """Starts an agent and waits until it is registered. The same name is started once a hub."""
        if name not in hub.agents:
            argv = [
                self.bin / "agent",
                "--name",
                name,
                "--hub-uri",
                hub.websocket,
                "--log-format",
                "json",
            ]
            argv += ["--tls-ca-file", self.ca] if hub.ca else []
            process = self.start(f"agent-{hub.transport}-{name}", [*argv, *flags])
            process.wait_for(logged("registered"), "it is registered")
            hub.agents[name] = process
        return hub.agents[name]

    def through(self, hub, kind, *flags):
        """The route to an upstream through a hub and an agent; the name is the upstream's kind."""
        upstream, address = self.upstream(kind)
        if kind.endswith("-tls"):
            address = f"https://localhost:{address.rsplit(':', 1)[1]}"
            flags = (*flags, "--upstream-tls-ca-file", self.ca)
        agent = self.agent(hub, kind, "--upstream", address, *flags)
        return Route(hub.target, kind, hub.ca, [hub.process, agent, upstream])

    def translated(self, hub):
        """The route to the plain server, as one that knows gRPC alone."""
        upstream, address = self.upstream("plain")
        agent = self.agent(hub, "translated", "--upstream", address)
        return Route(hub.target, "translated", hub.ca, [hub.process, agent, upstream])

    def straight(self, transport, kind):
        """The route to an upstream without a hub."""
        upstream, address = self.upstream(f"{kind}-tls" if transport == "tls" else kind)
        if transport == "tls":
            return Route(f"localhost:{address.rsplit(':', 1)[1]}", None, self.ca, [upstream])
        return Route(address, None, None, [upstream])

    def close(self):
        """Ends everything that still runs, agents before hubs before upstreams, and returns how."""
        outcomes = []
        for role in ("agent", "hub", ""):
            ending = [process for process in self.running if process.title.startswith(role)]
            self.running = [process for process in self.running if process not in ending]
            for process in ending:
                process.terminate()
            for process in ending:
                try:
                    outcomes.append((process, process.wait()))
                except Failed as error:
                    outcomes.append((process, str(error)))
        shutil.rmtree(self.sockets)
        if not self.keep_logs:
            shutil.rmtree(self.logs)
        return outcomes
