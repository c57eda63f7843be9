"""The programs themselves: our client against real servers, metrics, memory, drain, credentials."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import select
import signal
import time
import urllib.request
from dataclasses import replace

import metrics
from grpcurl import ECHO, SCHEMA, call, documents, to
from harness import (
    START_LIMIT_S,
    STOP_LIMIT_S,
    check,
    command,
    environment,
    eventually,
    logged,
    succeed,
)
from long_link import LongLink

# What a hub may grow by while 64 MiB wait for a slow reader: its stream windows, not the transfer.
MEMORY_GROWTH = 16 << 20
# From an agent to the hub, and so many windows of a client (nghttp's, with -w16).
FAR_S, WINDOWS = 0.05, 64


def client(world, hub, *arguments, output="json"):
    """A command line of our client."""
    argv = [world.bin / "client", "--hub", hub.uri, "-o", output]
    return [*argv, *(["--tls-ca-file", world.ca] if hub.ca else []), *arguments]


# === client ===


def list_clients(world, hub):
    """`echo '{}' | client hub list-clients`, for programs and for people."""
    for kind in ("go", "python"):
        world.through(hub, kind)
    answer = documents(succeed(*client(world, hub, "hub", "list-clients"), stdin="{}\n"))
    names = [one["name"] for one in answer[0]["clients"]]
    check({"go", "python"} <= set(names), f"it lists {names}")
    check(names == sorted(names), f"not ordered by name: {names}")
    table = succeed(*client(world, hub, "hub", "list-clients", output="table"), stdin="{}\n")
    check(
        any(line.split()[:1] == ["python"] for line in table.splitlines()),
        f"no row for python:\n{table}",
    )


def fluentd(world, hub):
    """`echo '{}' | client fluentd start testserver`, and the process that it starts."""
    world.agent(hub, "testserver", "--fluentd-command", "sleep 1000")

    def ask(verb):
        answer = documents(
            succeed(*client(world, hub, "fluentd", verb, "testserver"), stdin="{}\n")
        )
        return answer[0]["status"]

    started = ask("start")
    check(started["state"] == "RUNNING", f"started: {started}")
    with open(f"/proc/{started['pid']}/comm", encoding="utf-8") as comm:
        check(comm.read() == "sleep\n", "the pid is another program's")
    check(ask("status")["pid"] == started["pid"], "the status tells of another process")
    restarted = ask("restart")
    check(
        restarted["state"] == "RUNNING" and restarted["pid"] != started["pid"],
        f"restarted: {restarted}",
    )
    stopped = ask("stop")
    check(stopped["state"] == "STOPPED", f"stopped: {stopped}")
    check(not os.path.exists(f"/proc/{restarted['pid']}"), "the process is still there")


def builtin_services(world, hub):
    """An agent without upstream shows its services by reflection and health."""
    world.agent(hub, "testserver", "--fluentd-command", "sleep 1000")
    services = set(succeed(*to(hub, "testserver").grpcurl("list")).split())
    check({"fluentd.v1.Fluentd", "grpc.health.v1.Health"} <= services, f"it lists {services}")
    answer = call(to(hub, "testserver"), "grpc.health.v1.Health/Check", {})
    check(answer == [{"status": "SERVING"}], f"it is {answer}")


def several_names(world, hub):
    """Three names of one agent, on one session: two servers, and its own services."""
    (_, go), (_, python) = world.upstream("go"), world.upstream("python")
    more = ("--name", "second", "--upstream", python, "--name", "third", "--sessions", "1")
    world.agent(hub, "first", "--upstream", go, *more)
    for name in ("first", "second"):
        for method, request, want in CALLS:
            asked = succeed(*client(world, hub, "call", name, f"{ECHO}/{method}"), stdin=request)
            check(len(documents(asked)) == len(want), f"{name} {method} answers {asked}")
    services = succeed(*to(hub, "third").grpcurl("list")).split()
    check("fluentd.v1.Fluentd" in services, f"the third has {services}")
    listed = documents(succeed(*client(world, hub, "hub", "list-clients"), stdin="{}"))[0]
    ours = [one for one in listed["clients"] if one["name"] in ("first", "second", "third")]
    instances = {one["instance"] for one in ours}
    check(len(ours) == 3 and len(instances) == 1, f"it lists {ours}")
    sessions = [one["sessions"] for one in ours]
    check(sessions == [1, 1, 1], f"they have {sessions} sessions")


def call_all_kinds(world, hub):
    """`client call` for each kind of method, on each server, and what `client describe` says of it. Python's reflection finds
    no methods: `findings/python-reflection-no-methods.sh`."""
    for kind in ("go", "python"):
        world.through(hub, kind)
        for method, request, want in CALLS:
            answers = documents(
                succeed(*client(world, hub, "call", kind, f"{ECHO}/{method}"), stdin=request)
            )
            got = [
                {key: answer.get(key) for key in expected}
                for answer, expected in zip(answers, want)
            ]
            check(len(answers) == len(want) and got == want, f"{kind} {method} answers {answers}")
            described = succeed(*client(world, hub, "describe", kind, f"{ECHO}/{method}"))
            check(documents(described)[0]["name"] == method, f"{kind} describes {described}")


CALLS = [
    ("Unary", '{"text": "grüezi"}', [{"text": "grüezi"}]),
    ("ClientStream", '{"payload": "AAEC"}\n{"payload": "AAEC"}', [{"messages": "2", "bytes": "6"}]),
    ("ServerStream", '{"messages": 3, "size": 10}', [{}, {}, {}]),
    ("Bidi", '{"text": "a"}{"text": "b"}', [{"text": "a"}, {"text": "b"}]),
]


def call_error(world, hub):
    """The status is the exit code and stands on standard error."""
    world.through(hub, "go")
    failed = command(
        *client(world, hub, "call", "go", f"{ECHO}/Fail"), stdin='{"code": 9, "message": "not yet"}'
    )
    check(failed.returncode == 9, f"it exits with {failed.returncode}: {failed.stderr}")
    check("FAILED_PRECONDITION" in failed.stderr and "not yet" in failed.stderr, failed.stderr)
    failed = command(*client(world, hub, "call", "nobody-here", f"{ECHO}/Unary"), stdin="{}")
    check(
        failed.returncode == 14,
        f"for an unknown name it exits with {failed.returncode}: {failed.stderr}",
    )


def list_describe_ping(world, hub):
    """What a person asks first."""
    for kind in ("go", "python"):
        world.through(hub, kind)
        for arguments, want in (
            (("list", kind), ECHO),
            (("list", kind, ECHO), "Bidi"),
            (("describe", kind, ECHO), "rpc Bidi(stream"),
            (("describe", kind, f"{ECHO}.Bidi"), "rpc Bidi(stream"),
            (("describe", kind, "e2e.v1.Message"), "payload"),
            (("ping", kind), ""),
        ):
            shown = succeed(*client(world, hub, *arguments, output="table"))
            check(want in shown, f"{' '.join(arguments)} shows no {want!r}: {shown}")


# === hub ===


def scrape(world, hub):
    """A Prometheus finds every call counted once."""
    wanted = {"OK": 2, "NOT_FOUND": 1}

    def counted():
        samples, types = metrics.scrape(own.admin)
        check(types.get("hub_calls_total") == "counter", f"no hub_calls_total in {sorted(types)}")
        check(metrics.total(samples, "hub_agents") == 1, "hub_agents is not 1")
        found = {
            outcome: metrics.total(samples, "hub_calls_total", target="agent", outcome=outcome)
            for outcome in wanted
        }
        return found == wanted and metrics.total(samples, "hub_call_duration_seconds_count") == 3

    with world.own_hub(hub.transport) as own:
        route = world.through(own, "go")
        for method, data in (("Unary", "{}"), ("Unary", "{}"), ("Fail", '{"code": 5}')):
            command(*route.grpcurl(f"{ECHO}/{method}", flags=SCHEMA, data=data))
        eventually(counted, "2 calls that ended well and 1 with NOT_FOUND are counted")


def agent_admin(world, hub):
    """A Prometheus finds what an agent passes on, and Kubernetes whether it is ready."""

    def counted():
        samples, types = metrics.scrape(admin)
        kind = types.get("agent_relayed_bytes_total")
        check(kind == "counter", f"no agent_relayed_bytes_total in {sorted(types)}")
        for one in ("agent_registered", "agent_upstream_up", "agent_hubs"):
            check(metrics.total(samples, one) == 1, f"{one} is not 1")
        return all(
            metrics.total(samples, "agent_relayed_bytes_total", direction=direction) > 0
            for direction in ("request", "response")
        )

    with world.own_hub(hub.transport) as own:
        route = world.through(own, "go", "--admin-listen", "127.0.0.1:0")
        listens = logged("admin listening")
        admin = own.agents["go"].wait_for(listens, "its admin port listens")["address"]
        check(is_ready(admin), "it is registered, and not ready")
        succeed(*route.grpcurl(f"{ECHO}/Unary", flags=SCHEMA, data="{}"))
        eventually(counted, "the bytes of a call are counted")
        own.process.terminate()
        eventually(lambda: not is_ready(admin), "it is not ready without a hub")


def memory(world, hub):
    """64 MiB to a reader that stops: the hub holds its windows, not the transfer."""
    told = []
    for direction in ("download", "upload"):
        with world.own_hub(hub.transport) as own:
            route = world.through(own, "go")
            succeed(*route.grpcurl(f"{ECHO}/Unary", data="{}"))
            before = own.process.memory("VmRSS")
            succeed(*route.peer("go", "slow"), "--direction", direction)
            grown = own.process.memory("VmHWM") - before
        told.append(f"{direction}: the hub grew by {grown / 2**20:.1f} MiB")
        check(grown < MEMORY_GROWTH, told[-1])
    return ", ".join(told)


def far(world, hub):
    """An agent 100 ms away: many small windows of one transfer are on their way in one round trip."""
    told = []
    for direction, body in FAR.items():
        round_trips = from_afar(world, hub, body)
        told.append(f"{direction}: {WINDOWS} windows took {round_trips:.0f} round trips")
        check(round_trips < WINDOWS / 2, told[-1])
    return ", ".join(told)


def far_without_memory(world, hub):
    """The same where nothing may be promised beyond the first windows: a hub and an agent keep to that."""
    told = []
    none = ("--lane-memory", "0")
    for direction, body in FAR.items():
        hub_flags, agent_flags = (none, ()) if direction == "download" else ((), none)
        round_trips = from_afar(world, hub, body, hub_flags, agent_flags)
        told.append(f"{direction}: {WINDOWS} windows took {round_trips:.0f} round trips")
        check(round_trips > WINDOWS * 0.9, told[-1])
    return ", ".join(told)


# Whether there is a body to be sent, or one that comes.
FAR = {"download": False, "upload": True}


def from_afar(world, hub, uploads, hub_flags=(), agent_flags=()):
    """How many round trips so many windows of 64 KiB take, to an agent that is far or from it."""
    length = WINDOWS << 16
    with world.own_hub(hub.transport, *hub_flags) as own:
        link = LongLink(own.port, FAR_S)
        _, address = world.upstream("plain")
        world.agent(replace(own, port=link.port), "plain", "--upstream", address, *agent_flags)
        argv = ["nghttp", "-y", "-w16", "-W16", "-H", "name: plain"]
        if uploads:
            body = world.logs / "far-body"
            body.write_bytes(bytes(length))
            argv += ["-d", body, f"{own.uri}/upload"]
        else:
            argv += ["-ns", f"{own.uri}/bytes/{length}"]
        began = time.monotonic()
        said = succeed(*argv)
        round_trips = (time.monotonic() - began) / (2 * FAR_S)
    came = f'"bytes":{length}' if uploads else rf" 200 +{length >> 20}M /bytes"
    check(re.search(came, said), f"not all of it came: {said}")
    return round_trips


def drain(world, hub):
    """SIGTERM: not ready, the running call finishes, exit code 0."""
    with world.own_hub(hub.transport) as own:
        caller = open_stream(world, world.through(own, "go"))
        check(is_ready(own.admin), "the hub is not ready before")
        own.process.terminate()
        eventually(lambda: not is_ready(own.admin), "the hub is no longer ready")
        caller.say("go on")
        check(caller.wait() == 0, f"the running call fails:\n{caller.tail()}")
        code = own.process.wait()
        check(code == 0, f"the hub exits with {code}")


def drain_cut(world, hub):
    """What still runs after --drain-timeout ends with UNAVAILABLE, and a reason."""
    with world.own_hub(hub.transport, "--drain-timeout", "1s") as own:
        caller = open_stream(world, world.through(own, "go"))
        own.process.terminate()
        eventually(lambda: own.process.popen.poll() is not None, "the hub ends", STOP_LIMIT_S)
        caller.say("go on")
        code, said = caller.wait(), caller.tail()
        check(code == 1 and "code = Unavailable" in said, f"it exits with {code}:\n{said}")


def reload(world, hub):
    """SIGHUP: hub and agent read their files anew, and cut nothing."""
    with world.own_hub(hub.transport) as own:
        caller = open_stream(world, world.through(own, "go"))
        for process in (own.process, own.agents["go"]):
            process.hang_up()
            process.wait_for(logged("reloaded"), "it has read its files anew")
        caller.say("go on")
        check(caller.wait() == 0, f"the running call fails:\n{caller.tail()}")


def terminal_gone(world, _hub):
    """SIGHUP because the terminal is gone: the program ends, too."""
    argv = [str(world.bin / "hub"), "--listen", "127.0.0.1:0", "--admin-listen", "none"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, environment())
    shown(terminal, b"listening")
    os.kill(pid, signal.SIGHUP)
    shown(terminal, b"reloaded")
    os.close(terminal)
    ended = eventually(lambda: reaped(pid), "the hub ends", STOP_LIMIT_S)
    check(ended == [0], f"the hub exits with {ended}")


def shown(terminal, word):
    """Waits until the word is on the terminal."""
    said = b""
    while word not in said:
        ready, _, _ = select.select([terminal], [], [], START_LIMIT_S)
        check(ready, f"the terminal shows only {said}")
        said += os.read(terminal, 4096)


def reaped(pid):
    """Its exit code, once it has ended."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return [os.waitstatus_to_exitcode(status)] if ended else None


def agent_killed(world, hub):
    """SIGKILL to an agent: its running call ends with UNAVAILABLE, and its successor serves."""
    with world.own_hub(hub.transport) as own:
        route = world.through(own, "go")
        caller = open_stream(world, route)
        own.agents.pop("go").kill()
        own.process.wait_for(logged("unregistered"), "the agent is gone")
        caller.say("go on")
        code = caller.wait()
        said = caller.tail()
        check(
            code == 1 and "code = Unavailable" in said,
            f"the running call exits with {code}:\n{said}",
        )
        route = world.through(own, "go")
        succeed(*route.grpcurl(f"{ECHO}/Unary", data="{}"))


def open_stream(world, route):
    """A caller in the middle of a stream, which goes on when it is told a line."""
    caller = world.start("hold", route.peer("go", "hold"))
    caller.wait_for(re.compile("^OPEN$").match, "the stream is open")
    return caller


def is_ready(admin):
    """Whether /readyz of a hub or an agent says so. Refused is not ready."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{admin}/readyz", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def credentials(world, hub):
    """With an auth file only who holds a token registers and calls."""
    token, auth = world.logs / "token", world.logs / "auth.toml"
    secret = "a token of some length"
    token.write_text(f"{secret}\n")
    digest = hashlib.sha256(secret.encode()).hexdigest()
    entry = f'id = "e2e"\ntoken_sha256 = "{digest}"\nnames = ["go"]\n'
    auth.write_text(f"[[agents]]\n{entry}\n[[callers]]\n{entry}")
    with world.own_hub(hub.transport, "--auth-file", auth) as own:
        route = world.through(own, "go", "--token-file", token)
        refused = command(*route.grpcurl(f"{ECHO}/Unary", data="{}"))
        shown = refused.stdout + refused.stderr
        check("Unauthenticated" in shown, f"without a token: {shown}")
        succeed(*route.grpcurl(f"{ECHO}/Unary", flags=["-H", f"hub-token:{secret}"], data="{}"))
        with_token = client(world, own, "--token-file", token, "call", "go", f"{ECHO}/Unary")
        succeed(*with_token, stdin="{}")
        # From now on another token is good, and a file with a mistake changes nothing.
        other = hashlib.sha256(b"another token").hexdigest()
        auth.write_text(f"[[agents]]\n{entry}\n[[callers]]\n{entry.replace(digest, other)}")
        own.process.hang_up()
        own.process.wait_for(logged("reloaded"), "it has read its files anew")
        auth.write_text("[[callers]]\n")
        own.process.hang_up()
        told = "not reloaded: everything stays as it was"
        own.process.wait_for(logged(told), "it has found the mistake")
        refused = command(*with_token, stdin="{}")
        check(refused.returncode == 16, f"the old token: {refused.stdout}{refused.stderr}")
        flags = ["-H", "hub-token:another token"]
        succeed(*route.grpcurl(f"{ECHO}/Unary", flags=flags, data="{}"))


CASES = {
    "list-clients": list_clients,
    "fluentd": fluentd,
    "builtin-services": builtin_services,
    "several-names": several_names,
    "call": call_all_kinds,
    "call-error": call_error,
    "list-describe-ping": list_describe_ping,
    "metrics": scrape,
    "agent-admin": agent_admin,
    "memory": memory,
    "far": far,
    "far-without-memory": far_without_memory,
    "drain": drain,
    "drain-cut": drain_cut,
    "reload": reload,
    "terminal-gone": terminal_gone,
    "agent-killed": agent_killed,
    "credentials": credentials,
}
