"""Health of a name, for who cannot send metadata: docs/health.md tells it to people."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from urllib.error import HTTPError

from grpcurl import to
from harness import DIRECT, TOOLS, check, command, eventually, free_ports, on_path

SECRET = "a token of some length"
CALLS = 100
BLACKBOX = "prometheus-blackbox-exporter"


@contextmanager
def guarded(world, transport, public):
    """A hub that wants tokens, with an agent, which may have two names and has one."""
    token, auth = world.logs / "health.token", world.logs / "health-auth.toml"
    token.write_text(f"{SECRET}\n")
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    entry = f'id = "e2e"\ntoken_sha256 = "{digest}"\nnames = ["go", "absent"]\n'
    more = f"public_health = {'true' if public else 'false'}\n"
    auth.write_text(f"[[agents]]\n{entry}{more}[[callers]]\n{entry}")
    with world.own_hub(transport, "--auth-file", auth) as hub:
        yield hub, world.through(hub, "go", "--token-file", token)


# === grpc-go, which calls only where health says that it may ===


class Channel:
    """One of grpc-go's, which asks for the health of the name that it calls."""

    def __init__(self, world, route, *flags):
        argv = [*route.peer("go", "healthy"), "--service", route.name, *flags]
        self.process = world.start("healthy", argv)

    def until(self, state, times=1):
        """Waits until it is in this state, for the first time or a later one."""

        def is_there():
            return self.process.lines().count(f"STATE {state}") >= times

        eventually(is_there, f"the channel is {state} ({times})", 20)

    def calls(self):
        """How many of some calls are lost, and why."""
        self.process.say(str(CALLS))
        told = self.process.wait_for(re.compile(r'^\{"calls".*').match, "its calls are over")
        outcome = json.loads(told.group())
        return outcome["lost"], outcome["why"]


def lost_by_go(world, hub, public, state, *flags):
    """How many calls of a channel in this state are lost, with a good token each."""
    with guarded(world, hub.transport, public) as (_, route):
        channel = Channel(world, route, "--token", SECRET, *flags)
        channel.until(state)
        return channel.calls()


def go_public(world, hub):
    """Health checks without a token are answered, and no call is lost."""
    lost, why = lost_by_go(world, hub, True, "READY")
    check(lost == 0, f"{lost} of {CALLS} are lost: {why}")


def go_private(world, hub):
    """Without `public_health` checks are refused, and each call is lost in spite of its token."""
    lost, why = lost_by_go(world, hub, False, "TRANSIENT_FAILURE")
    check(lost == CALLS, f"{lost} of {CALLS} are lost: {why}")
    said = why.get("Unavailable", "")
    check("health check" in said and "Unauthenticated" in said, f"they are lost so: {why}")


def go_everywhere(world, hub):
    """What goes with all that a channel sends goes with its health checks."""
    lost, why = lost_by_go(world, hub, False, "READY", "--token-everywhere")
    check(lost == 0, f"{lost} of {CALLS} are lost: {why}")


def go_open(world, hub):
    """A hub that wants no tokens; the channel hears that the agent goes and comes back."""
    with world.own_hub(hub.transport) as own:
        route = world.through(own, "go")
        channel = Channel(world, route)
        channel.until("READY")
        lost, why = channel.calls()
        check(lost == 0, f"{lost} of {CALLS} are lost: {why}")
        own.agents.pop("go").stop()
        channel.until("TRANSIENT_FAILURE")
        world.through(own, "go")
        channel.until("READY", 2)


# === grpc-go, which asks for all names at once ===


def listed(route, *flags):
    """What it is told, by name."""
    done = command(*route.peer("go", "list-health"), *flags)
    check(done.returncode == 0, done.stderr)
    told = json.loads(done.stdout)
    check(told["code"] == "OK", f"the list is refused: {told}")
    return told["statuses"]


def list_public(world, hub):
    """Whoever may call a name hears all of it, everybody else which public names serve."""
    with guarded(world, hub.transport, True) as (own, _):
        told = listed(to(own), "--token", SECRET)
        check(told == {"": "SERVING", "go": "SERVING", "absent": "NOT_SERVING"}, f"it hears {told}")
        told = listed(to(own))
        check(told == {"": "SERVING", "go": "SERVING"}, f"without a token it hears {told}")


def list_private(world, hub):
    """Without a token, and where nothing is public, the hub alone is in the list."""
    with guarded(world, hub.transport, False) as (own, _):
        for flags in ((), ("--token", "another")):
            told = listed(to(own), *flags)
            check(told == {"": "SERVING"}, f"{flags}: it hears {told}")


def list_open(world, hub):
    """A hub that wants no tokens; a name whose agent goes stays in the list. With `name`, it is the
    server's own list."""
    with world.own_hub(hub.transport) as own:
        route = world.through(own, "go")
        told = listed(to(own))
        check(told == {"": "SERVING", "go": "SERVING"}, f"it hears {told}")
        of_server = listed(route)
        check(of_server.get("") == "SERVING" and "go" not in of_server, f"it hears {of_server}")
        own.agents.pop("go").stop()
        gone = {"": "SERVING", "go": "NOT_SERVING"}
        eventually(lambda: listed(to(own)) == gone, "the name does not serve", 20)


GO = {
    "go-public": go_public,
    "go-private": go_private,
    "go-token-everywhere": go_everywhere,
    "go-open": go_open,
    "go-list-public": list_public,
    "go-list-private": list_private,
    "go-list-open": list_open,
}


# === a probe, as Kubernetes has one ===


def probe(hub, service):
    """The exit code of grpc-health-probe, which sends no metadata here, and what it shows."""
    argv = [TOOLS / "bin/grpc-health-probe", "-addr", hub.target, "-service", service]
    argv += ["-connect-timeout", "10s", "-rpc-timeout", "10s"]
    argv += ["-tls", "-tls-ca-cert", hub.ca] if hub.ca else []
    done = command(*argv)
    return done.returncode, done.stdout + done.stderr


def probe_public(world, hub):
    """Which name serves is told without a token, and nothing else of it."""
    with guarded(world, hub.transport, True) as (own, _):
        for service, code, word in (
            ("go", 0, "SERVING"),
            ("absent", 4, "NOT_SERVING"),
            ("", 0, "SERVING"),
            ("nobody", 3, "Unauthenticated"),
        ):
            ended, said = probe(own, service)
            check(ended == code and word in said, f"{service}: {ended}, {said}")


def probe_private(world, hub):
    """It has no token, so it hears only of the hub."""
    with guarded(world, hub.transport, False) as (own, _):
        for service in ("go", "absent", "nobody"):
            ended, said = probe(own, service)
            check(ended == 3 and "Unauthenticated" in said, f"{service}: {ended}, {said}")
        check(probe(own, "")[0] == 0, "the hub itself is not healthy")


def probe_open(world, hub):
    """A hub that wants no tokens."""
    world.through(hub, "go")
    check(probe(hub, "go")[0] == 0, "the name is not healthy")
    ended, said = probe(hub, "nobody")
    check(ended == 3 and "NotFound" in said, f"nobody: {ended}, {said}")


def kubelet(hub, service):
    """Whether the kubelet takes it for ready, and what it shows. It takes any certificate."""
    host, port = hub.target.rsplit(":", 1)
    argv = [TOOLS / "bin/kubelet-probe", "-host", host, "-port", port, "-service", service]
    done = command(*argv, *(["-tls"] if hub.ca else []))
    check(done.returncode in (0, 1), done.stderr)
    return done.returncode == 0, done.stdout


def kubelet_public(world, hub):
    """The kubelet's own probe: it sends no token either."""
    with guarded(world, hub.transport, True) as (own, _):
        for service, is_ready, words in (
            ("go", True, "service healthy"),
            ("", True, "service healthy"),
            ("absent", False, 'service unhealthy (responded with "NOT_SERVING")'),
            ("nobody", False, "Unauthenticated"),
        ):
            told = kubelet(own, service)
            check(told[0] == is_ready and words in told[1], f"{service}: {told}")


def kubelet_private(world, hub):
    """A name that is not public is never ready."""
    with guarded(world, hub.transport, False) as (own, _):
        ready, said = kubelet(own, "go")
        check(not ready and "Unauthenticated" in said, f"it is {ready}: {said}")
        check(kubelet(own, "")[0], "the hub itself is not ready")


def kubelet_open(world, hub):
    """A hub that wants no tokens."""
    world.through(hub, "go")
    check(kubelet(hub, "go")[0], "the name is not ready")
    ready, said = kubelet(hub, "nobody")
    check(not ready and "NotFound" in said, f"nobody: {ready}, {said}")


def readyz(world, hub):
    """The same by HTTP, at the admin listener, which asks nobody for a token."""
    with guarded(world, hub.transport, False) as (own, _):
        for query, status, word in (
            ("name=go", 200, "ready"),
            ("name=absent", 503, "offline"),
            ("name=go&name=absent", 503, "offline"),
            ("name=nobody", 404, "nobody has registered"),
        ):
            told = fetch(f"http://{own.admin}/readyz?{query}")
            check(told[0] == status and word in told[1], f"{query}: {told}")


def fetch(url):
    """Status and body."""
    try:
        with DIRECT.open(url, timeout=20) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


PROBE = {
    "probe-public": probe_public,
    "probe-private": probe_private,
    "probe-open": probe_open,
    "kubelet-public": kubelet_public,
    "kubelet-private": kubelet_private,
    "kubelet-open": kubelet_open,
    "readyz": readyz,
}


# === blackbox_exporter ===


def blackbox(world, hub, services):
    """What its gRPC prober finds of each service: whether it succeeds, and what it was told."""
    tls = {"tls": True, "tls_config": {"ca_file": str(hub.ca)}} if hub.ca else {}
    modules = {
        f"of-{service}": {"prober": "grpc", "timeout": "10s", "grpc": {"service": service, **tls}}
        for service in services
    }
    config = world.logs / "blackbox.yml"
    # JSON is YAML.
    config.write_text(json.dumps({"modules": modules}))
    (port,) = free_ports(1)
    argv = [on_path(BLACKBOX), f"--web.listen-address=127.0.0.1:{port}"]
    process = world.start("blackbox", [*argv, f"--config.file={config}"])
    try:
        process.wait_for(re.compile(".*Listening on").match, "it listens")
        return {service: probed(port, service, hub) for service in services}
    finally:
        process.stop()


def probed(port, service, hub):
    """What it finds of one."""
    page = fetch(f"http://127.0.0.1:{port}/probe?module=of-{service}&target={hub.target}")[1]
    success = re.search(r"^probe_success (\d)$", page, re.M)
    check(success, f"blackbox_exporter says of {service}: {page[:200]}")
    status = re.search(r'healthcheck_response\{serving_status="(\w+)"\} 1$', page, re.M)
    return success.group(1) == "1", status and status.group(1)


def blackbox_public(world, hub):
    """Without a token: serving, and not."""
    with guarded(world, hub.transport, True) as (own, _):
        told = blackbox(world, own, ["go", "absent", "nobody"])
    want = {"go": (True, "SERVING"), "absent": (False, "NOT_SERVING"), "nobody": (False, None)}
    check(told == want, f"it finds {told}")


def blackbox_private(world, hub):
    """It cannot send a token."""
    with guarded(world, hub.transport, False) as (own, _):
        told = blackbox(world, own, ["go", "absent"])
    check(told == {"go": (False, None), "absent": (False, None)}, f"it finds {told}")


def blackbox_open(world, hub):
    """A hub that wants no tokens."""
    world.through(hub, "go")
    told = blackbox(world, hub, ["go", "nobody"])
    check(told == {"go": (True, "SERVING"), "nobody": (False, None)}, f"it finds {told}")


EXPORTER = {
    "public": blackbox_public,
    "private": blackbox_private,
    "open": blackbox_open,
}
