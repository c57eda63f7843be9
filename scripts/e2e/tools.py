"""Tools that people call servers with: which flags carry `name`, for calls and for reflection.

docs/tools.md tells it to people. What else grpcurl shows is in a file of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from grpcurl import ECHO, to
from harness import PROTO, REPO, TOOLS, check, command, succeed

TEXT = "hello by name"
DATA = json.dumps({"text": TEXT})
NOBODY = {"name": "nobody-here"}
NOBODY_TOLD = 'nobody has registered the name "nobody-here"'
# Some tools show the message of a status as JSON.
NOBODY_TOLD_IN_JSON = json.dumps(NOBODY_TOLD)[1:-1]
# What the hub tells whoever calls an agent's service without a name.
NO_NAME_TOLD = "send the metadata `name`"


class Tool:
    """A program that calls servers.

    `metadata` goes with all that it sends, reflection too. What a method returns is the exit code
    and all that was shown.
    """

    program = ""
    installer = "scripts/tools/install.sh"

    def __init__(self, world):
        self.world = world

    @classmethod
    def path(cls):
        """Where it is."""
        return TOOLS / "bin" / cls.program

    @classmethod
    def is_installed(cls):
        """Whether it is there."""
        return cls.path().exists()

    def run(self, *argv, stdin="", folder=REPO):
        """Runs it to its end, with nobody's own settings, and PEER in its environment."""
        where = ["env", "-C", folder, f"HOME={self.world.logs}", "PEER=go"]
        done = command(*where, self.path(), *argv, stdin=stdin)
        return done.returncode, done.stdout + done.stderr

    def call(self, route, metadata, *flags):
        """A call, of which the tool learns by reflection. It shows TEXT."""
        raise NotImplementedError

    def services(self, route, metadata):
        """A list of services, by reflection."""
        raise NotImplementedError


class Grpcurl(Tool):
    """It has a flag for everything, and one each for calls and for reflection."""

    program = "grpcurl"
    installer = "scripts/e2e/install.sh"

    def grpcurl(self, route, *what, flags=()):
        return self.run(*replace(route, name=None).grpcurl(*what, flags=flags)[1:])

    def call(self, route, metadata, *flags):
        flags = [*repeated("-H", metadata, ": "), *flags, "-d", DATA]
        return self.grpcurl(route, f"{ECHO}/Unary", flags=flags)

    def services(self, route, metadata):
        return self.grpcurl(route, "list", flags=repeated("-H", metadata, ": "))


class HealthProbe(Tool):
    """It calls health and nothing else, here that of a service which the hub itself has not."""

    program = "grpc-health-probe"

    def call(self, route, metadata, *flags):
        argv = ["-addr", route.target, *repeated("-rpc-header", metadata, ": ")]
        argv += ["-connect-timeout", "10s", "-rpc-timeout", "10s", "-service", ECHO, *flags]
        argv += ["-tls", "-tls-ca-cert", route.ca] if route.ca else []
        return self.run(*argv)


class Evans(Tool):
    """Its flag is for everything."""

    program = "evans"

    def evans(self, route, metadata, *what, flags=(), folder=REPO):
        host, port = route.target.rsplit(":", 1)
        argv = ["--host", host, "--port", port, "--reflection"]
        argv += ["--tls", "--cacert", route.ca] if route.ca else []
        argv += [*repeated("--header", metadata, "="), *flags]
        return self.run(*argv, "cli", *what, stdin=DATA, folder=folder)

    def call(self, route, metadata, *flags):
        return self.evans(route, metadata, "call", f"{ECHO}.Unary", flags=flags)

    def services(self, route, metadata):
        return self.evans(route, metadata, "list")


class Buf(Tool):
    """What is for reflection has a flag of its own, whose `*` means all that is for calls."""

    program = "buf"

    def curl(self, route, path, *flags):
        argv = ["curl", "--protocol", "grpc", *flags]
        argv += ["--cacert", route.ca] if route.ca else []
        return self.run(*argv, f"{'https' if route.ca else 'http'}://{route.target}/{path}")

    def call(self, route, metadata, *flags):
        flags = [*flags, *repeated("-H", metadata, ": "), "--reflect-header", "*", "-d", DATA]
        return self.curl(route, f"{ECHO}/Unary", *flags)

    def services(self, route, metadata):
        flags = repeated("--reflect-header", metadata, ": ")
        return self.curl(route, "", *flags, "--list-services")


class Ghz(Tool):
    """It sends calls by the hundred. What is for reflection has a flag of its own."""

    program = "ghz"
    installer = "make tools"

    def ghz(self, route, *flags):
        argv = ["--call", f"{ECHO}/Unary", "-d", DATA, "-n", "10", "-c", "2", *flags]
        argv += ["--cacert", route.ca] if route.ca else ["--insecure"]
        return self.run(*argv, route.target)

    def call(self, route, metadata, *flags):
        told = json.dumps(metadata)
        return self.ghz(route, "-m", told, "--reflect-metadata", told, *flags)


class Grpcui(Tool):
    """It shows a page, whose form makes calls."""

    program = "grpcui"

    def open(self, route, *flags):
        """Starts it, and returns its page's address and the process, if it has come so far."""
        argv = ["-port", "0", *(["-cacert", route.ca] if route.ca else ["-plaintext"]), *flags]
        argv = ["env", "PEER=go", self.path(), *argv, route.target]
        process = self.world.start("grpcui", argv)
        url = re.compile(r"available at (http://\S+/)")

        def begun(line):
            found = url.search(line)
            return found.group(1) if found else ("" if line.startswith("Failed") else None)

        return process.wait_for(begun, "its page is there or it fails"), process

    def fetch(self, page, path="", data=None):
        """A page as a browser has it: with the cookie that says that it came from the first one."""
        jar = CookieJar()
        browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(jar))
        first = browser.open(page, timeout=20).read().decode()
        if data is None:
            return first
        token = next(cookie.value for cookie in jar if "csrf" in cookie.name)
        headers = {"x-grpcui-csrf-token": token, "content-type": "application/json"}
        asked = Request(page + path, json.dumps(data).encode(), headers)
        try:
            return browser.open(asked, timeout=20).read().decode()
        except HTTPError as error:
            return f"{error.code} {error.read().decode()}"

    def shown(self, route, flags, path="", data=None):
        """One page, and whether it came to one."""
        page, process = self.open(route, *flags)
        if not page:
            return process.wait(), process.log.read_text()
        try:
            return 0, self.fetch(page, path, data)
        finally:
            process.stop()

    def call(self, route, metadata, *flags):
        asked = {"metadata": [], "data": [{"text": TEXT}]}
        flags = [*repeated("-H", metadata, ": "), *flags]
        return self.shown(route, flags, f"invoke/{ECHO}.Unary", asked)

    def services(self, route, metadata):
        return self.shown(route, repeated("-H", metadata, ": "))


def repeated(flag, metadata, between):
    """A flag for each field of metadata."""
    return [part for key, value in metadata.items() for part in (flag, f"{key}{between}{value}")]


# === what all of them do ===


def good(outcome, want):
    """It went well and shows what is wanted."""
    code, text = outcome
    check(code == 0 and want in text, f"it exits with {code}, and shows no {want!r}: {text}")


def bad(outcome, code_wanted, want):
    """It fails as wanted, and shows why."""
    code, text = outcome
    told = want in text
    check(code == code_wanted and told, f"it exits with {code}, and shows no {want!r}: {text}")


def call(tool, route):
    good(tool.call(route, {"name": route.name}), answer(tool))


def reflection(tool, route):
    good(tool.services(route, {"name": route.name}), ECHO)


def answer(tool):
    """What a tool shows of a good call."""
    return {"grpc-health-probe": "SERVING", "ghz": "[OK]   10 responses"}.get(tool.program, TEXT)


def unknown_name(tool, route):
    bad(tool.call(route, NOBODY), 3 if tool.program == "grpc-health-probe" else 1, NOBODY_TOLD)


def token(tool, world, hub):
    """Where callers need a token, it goes the same way. This one has all that base64 has in it."""
    secret = "+/abcdefghijklmnopqrstuvwxyz0123456789ABCDE="
    digest = hashlib.sha256(secret.encode()).hexdigest()
    entry = f'id = "e2e"\ntoken_sha256 = "{digest}"\nnames = ["go"]\n'
    secrets, auth = world.logs / "tools.token", world.logs / "tools-auth.toml"
    secrets.write_text(secret)
    auth.write_text(f"[[agents]]\n{entry}\n[[callers]]\n{entry}")
    with world.own_hub(hub.transport, "--auth-file", auth) as own:
        route = world.through(own, "go", "--token-file", secrets)
        good(tool.call(route, {"name": "go", "hub-token": secret}), answer(tool))
        code, text = tool.call(route, {"name": "go"})
        told = "this hub wants a token" in text or tool.program == "buf"
        check(code != 0 and told, f"without a token it exits with {code}: {text}")


# === what is one tool's own ===


def grpcurl_two_flags(tool, route):
    """`-rpc-header` is for calls, `-reflect-header` for reflection, `-H` for both."""
    call_only, reflect_only = ("-rpc-header", "name: go"), ("-reflect-header", "name: go")
    good(tool.call(route, {}, *call_only, *reflect_only), TEXT)
    told = f'target server does not expose service "{ECHO}"'
    bad(tool.call(route, {}, *call_only), 1, told)
    bad(tool.call(route, {}, *reflect_only), 64 + 12, NO_NAME_TOLD)


def grpcurl_environment(tool, route):
    """A value out of the environment, for what is not for a list of processes."""
    good(tool.call(route, {}, "-expand-headers", "-H", "name: ${PEER}"), TEXT)


def probe_service(tool, route):
    """The name in place of the service asks the hub how the agent is."""
    good(tool.call(route, {}, "-service", route.name), "SERVING")
    bad(tool.call(route, {}, "-service", "nobody-here"), 3, "nobody has registered this name")


def probe_of_the_hub(tool, route):
    """Without any name it is the hub that is healthy, and no server."""
    good(tool.call(route, {}, "-service", ""), "SERVING")
    bad(tool.call(route, {}), 3, "NotFound")


def probe_too_soon(tool, world, hub):
    """A call for who has just gone waits longer than the probe may; the hub's own word does not."""
    with world.own_hub(hub.transport, "--park-timeout", "3s") as own:
        route = world.through(own, "go")
        own.agents["go"].stop()
        told = tool.call(route, {"name": "go"}, "-rpc-timeout", "1s")
        bad(told, 3, "timeout: health rpc did not complete within 1s")
        bad(tool.call(route, {"name": "go"}), 3, 'desc = "go" is offline')
        bad(tool.call(route, {}, "-service", "go"), 4, "NOT_SERVING")


def evans_twice(tool, route):
    """A file and a flag that say different names: both are sent."""
    folder = tool.world.logs / f"evans-{os.urandom(4).hex()}"
    folder.mkdir()
    (folder / ".evans.toml").write_text(f'[request.header]\nname = ["{route.name}"]\n')
    good(tool.evans(route, {}, "list", folder=folder), ECHO)
    bad(tool.evans(route, NOBODY, "list", folder=folder), 1, "bad name: given more than once")


def buf_unknown_name(tool, route):
    """It tells why a call fails, but not why reflection does."""
    schema = [*repeated("-H", NOBODY, ": "), "--schema", PROTO, "-d", DATA]
    bad(tool.curl(route, f"{ECHO}/Unary", *schema), 14 << 3, NOBODY_TOLD_IN_JSON)
    bad(tool.call(route, NOBODY), 1, f'failed to find service named "{ECHO}"')
    bad(tool.services(route, NOBODY), 1, "the server hosted at that remote is unavailable")


def buf_calls_only(tool, route):
    """`-H` alone: the hub is asked for the schema, and does not have it."""
    flags = [*repeated("-H", {"name": route.name}, ": "), "-d", DATA]
    bad(tool.curl(route, f"{ECHO}/Unary", *flags), 1, f'failed to find service named "{ECHO}"')
    good(tool.curl(route, f"{ECHO}/Unary", "--schema", PROTO, *flags), TEXT)


def buf_protocol(tool, route):
    """Without `--protocol grpc` it speaks Connect, of which the hub makes gRPC, for reflection as well."""
    path, flags = f"{ECHO}/Unary", [*repeated("-H", {"name": route.name}, ": ")]
    flags += ["--reflect-header", "*", "-d", DATA, "--protocol", "connect"]
    good(tool.curl(route, path, *flags), TEXT)


def buf_file(tool, route):
    """Fields out of a file, which are in no list of processes."""
    fields = tool.world.logs / "fields"
    fields.write_text(f"name: {route.name}\n")
    flags = ["-H", f"@{fields}", "--reflect-header", "*", "-d", DATA]
    good(tool.curl(route, f"{ECHO}/Unary", *flags), TEXT)


def ghz_calls_only(tool, route):
    """`-m` alone is not for reflection, and `--reflect-metadata` alone not for calls."""
    told = json.dumps({"name": route.name})
    bad(tool.ghz(route, "-m", told), 1, f"Symbol not found: {ECHO}.Unary")
    bad(tool.ghz(route, "--name", route.name), 1, f"Symbol not found: {ECHO}.Unary")
    good(tool.ghz(route, "--reflect-metadata", told), NO_NAME_TOLD)
    schema = ("-i", PROTO, "--proto", "e2e/v1/echo.proto")
    good(tool.ghz(route, "-m", told, *schema), answer(tool))


def ghz_file(tool, route):
    """Both kinds of metadata out of a file."""
    told = {"name": route.name}
    settings = tool.world.logs / "ghz.json"
    settings.write_text(json.dumps({"metadata": told, "reflect-metadata": told}))
    good(tool.ghz(route, "--config", settings), answer(tool))


def ghz_unknown_name(tool, route):
    """Where all calls fail it exits with 0 all the same: what its table says is what counts."""
    unknown_name(tool, route)
    schema = ("-i", PROTO, "--proto", "e2e/v1/echo.proto")
    good(tool.ghz(route, "-m", json.dumps(NOBODY), *schema), NOBODY_TOLD)


def grpcui_two_flags(tool, route):
    """`-rpc-header` is for calls, `-reflect-header` for reflection, `-H` for both."""
    name = f"name: {route.name}"
    asked = f"invoke/{ECHO}.Unary", {"metadata": [], "data": [{"text": TEXT}]}
    good(tool.shown(route, ["-rpc-header", name, "-reflect-header", name], *asked), TEXT)
    good(tool.shown(route, ["-rpc-header", name]), "hub.v1.Hub")
    good(tool.shown(route, ["-reflect-header", name], *asked), NO_NAME_TOLD)


def grpcui_environment(tool, route):
    """A value out of the environment, for what is not for a list of processes."""
    good(tool.shown(route, ["-expand-headers", "-H", "name: ${PEER}"]), ECHO)


def grpcui_conflict(tool, route):
    """A form cannot take the name away that the command line says."""
    nobody = [{"name": "name", "value": NOBODY["name"]}]
    asked = f"invoke/{ECHO}.Unary", {"metadata": nobody, "data": [{"text": TEXT}]}
    good(tool.shown(route, ["-H", f"name: {route.name}"], *asked), TEXT)


# What each tool shows with a server by name.
SHOWN = {
    Grpcurl: {
        "call": call,
        "reflection": reflection,
        "two-flags": grpcurl_two_flags,
        "environment": grpcurl_environment,
    },
    HealthProbe: {
        "call": call,
        "service-is-name": probe_service,
        "of-the-hub": probe_of_the_hub,
    },
    Evans: {
        "call": call,
        "reflection": reflection,
        "name-twice": evans_twice,
    },
    Grpcui: {
        "call": call,
        "reflection": reflection,
        "two-flags": grpcui_two_flags,
        "environment": grpcui_environment,
        "conflict": grpcui_conflict,
    },
    Buf: {
        "call": call,
        "reflection": reflection,
        "calls-only": buf_calls_only,
        "protocol": buf_protocol,
        "file": buf_file,
    },
    Ghz: {
        "call": call,
        "calls-only": ghz_calls_only,
        "file": ghz_file,
    },
}
UNKNOWN_NAME = {Buf: buf_unknown_name, Ghz: ghz_unknown_name}


def cases(tool):
    """The cases of one tool, by its program's name."""

    def by_name(run):
        return lambda world, hub: run(tool(world), world.through(hub, "go"))

    def by_no_name(world, hub):
        """A hub that has just started waits for every name, unless it is told not to."""
        with world.own_hub(hub.transport, "--park-timeout", "0s") as own:
            UNKNOWN_NAME.get(tool, unknown_name)(tool(world), to(own))

    bound = {name: by_name(run) for name, run in SHOWN[tool].items()}
    bound["unknown-name"] = by_no_name
    bound["token"] = lambda world, hub: token(tool(world), world, hub)
    if tool is HealthProbe:
        bound["too-soon"] = lambda world, hub: probe_too_soon(tool(world), world, hub)
    return {f"{tool.program}-{name}": run for name, run in bound.items()}


# === without metadata ===


def default_name(tool):
    """Nothing says a name, but the hub has one for such calls."""

    def case(world, hub):
        with world.own_hub(hub.transport, "--default-name", "go") as own:
            world.through(own, "go")
            good(tool(world).call(to(own), {}), answer(tool))
            if tool.services is not Tool.services:
                good(tool(world).services(to(own), {}), ECHO)

    return case


DOMAIN = "hub.test"
HOST = f"go.{DOMAIN}"
# How the host is said, where a flag can: in plaintext it is :authority, with TLS the server's name.
BY_HOST = {
    "h2c": {
        Grpcurl: ("-authority", HOST),
        Grpcui: ("-authority", HOST),
        Buf: ("-H", f"Host: {HOST}"),
        Ghz: ("--authority", HOST),
    },
    "tls": {
        Grpcurl: ("-authority", HOST),
        HealthProbe: ("-tls-server-name", HOST),
        Evans: ("--servername", HOST),
        Grpcui: ("-authority", HOST),
        Buf: ("--servername", HOST),
        Ghz: ("--cname", HOST),
    },
}


def route_domain(tool, *flags):
    """The host says the name."""

    def case(world, hub):
        with certified(world), world.own_hub(hub.transport, "--route-domain", DOMAIN) as own:
            world.through(own, "go")
            good(tool(world).call(to(own), {}, *flags), answer(tool))

    return case


@contextmanager
def certified(world):
    """Hubs have a certificate that is good for all names of the domain as well."""
    folder = world.logs / "domain"
    if not folder.exists():
        folder.mkdir()
        argv = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048"]
        argv += ["-keyout", folder / "hub.key", "-out", folder / "hub.pem", "-days", "2"]
        argv += ["-subj", f"/CN={DOMAIN}", "-addext", "basicConstraints=critical,CA:FALSE"]
        succeed(*argv, "-addext", f"subjectAltName=DNS:localhost,DNS:*.{DOMAIN}")
        shutil.copy(folder / "hub.pem", folder / "ca.pem")
    before, world.certs = world.certs, folder
    try:
        yield
    finally:
        world.certs = before


def without_metadata(tool, transport):
    """The cases of calls without a name. They want a hub with --default-name and --route-domain."""
    bound = {"default-name": default_name(tool)}
    if tool in BY_HOST[transport]:
        bound["route-domain"] = route_domain(tool, *BY_HOST[transport][tool])
    return {f"{tool.program}-{name}": run for name, run in bound.items()}
