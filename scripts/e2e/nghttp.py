"""What nghttp sees of a plain HTTP/2 server: single frames, and what curl cannot send."""

from __future__ import annotations

import json
import re
import tempfile

from harness import COMMAND_LIMIT_S, Route, check, command
from web import AUTHORITY, LARGE, Site

FIELD = re.compile(r"recv \(stream_id=(\d+)\) (:?[^:\n]+): (.*)$", re.M)
# The type of a frame, its length, its flags, its stream, and a reset's reason.
FRAME = re.compile(
    r"recv ([A-Z_]+) frame <length=(\d+), flags=0x(..), stream_id=(\d+)>"
    r"(?:\n +\(error_code=(\w+))?"
)
LOG = re.compile(r"\[ *\d+\.\d{3}\] .*\n(?: {10}.*\n)*|^The negotiated protocol: h2\n", re.M)
END_STREAM = 1


class Seen:
    """What `nghttp -v` tells of a connection."""

    def __init__(self, done):
        self.done = done
        self.fields = FIELD.findall(done.stdout)
        self.frames = FRAME.findall(done.stdout)
        # The log comes between the frames of a body.
        self.body = LOG.sub("", done.stdout)

    def values(self, name):
        """All values of a field, in order, of all streams."""
        return [value for _, key, value in self.fields if key == name]

    def of(self, kind):
        """The frames of a kind, each with its length, flags, stream and reason."""
        return [
            (int(length), int(flags, 16), stream, reason)
            for name, length, flags, stream, reason in self.frames
            if name == kind
        ]

    def request(self):
        """The request as the server says that it saw it."""
        return json.loads(self.body)


def nghttp(site, *paths, flags=(), route=None):
    """Runs nghttp, which takes any certificate."""
    route = route or site.route
    base = f"{'https' if route.ca else 'http'}://{route.target}"
    argv = ["nghttp", "-v", "-y", "-t", f"{COMMAND_LIMIT_S - 5}s"]
    argv += ["-H", f"name: {site.name}", "-H", f":authority: {AUTHORITY}", *flags]
    seen = Seen(command(*argv, *[base + path for path in paths]))
    check(
        seen.done.returncode == 0, f"nghttp exits with {seen.done.returncode}: {seen.done.stderr}"
    )
    return seen


def get(site):
    """A request with a dependency and a weight, which HTTP/2 no longer heeds."""
    seen = nghttp(site, "/page?q=1", flags=("-p", "200"))
    check(seen.values(":status") == ["200"], f"the statuses are {seen.values(':status')}")
    check(seen.request()["target"] == "/page?q=1", f"it saw {seen.body}")
    check(seen.request()["authority"] == AUTHORITY, f"it saw {seen.body}")


def early_hints(site):
    """Two 103 and the answer, each a head of its own."""
    seen = nghttp(site, "/hints")
    statuses = seen.values(":status")
    check(statuses == ["103", "103", "200"], f"the statuses are {statuses}")


def trailers(site):
    """Trailers both ways, without gRPC."""
    with tempfile.NamedTemporaryFile("w", prefix="e2e-") as body:
        body.write("a body")
        body.flush()
        flags = ("-d", body.name, "--trailer", "x-end: one", "--trailer", "x-end: two")
        seen = nghttp(site, "/", flags=(*flags, "-H", "trailer: x-end"))
    check(seen.request()["trailers"] == {"X-End": ["one", "two"]}, f"it saw {seen.body}")
    seen = nghttp(site, "/trailers")
    check(seen.values("x-announced") == ["yes"], f"the fields are {seen.fields}")
    check(seen.values("x-unannounced") == ["one", "two"], f"the fields are {seen.fields}")


def end_of_stream(site):
    """An answer without a body is one frame: no empty DATA follows."""
    for path, flags in (
        ("/status/204", ()),
        ("/status/304", ()),
        ("/bytes/100", ("-H", ":method: HEAD")),
    ):
        seen = nghttp(site, path, flags=flags)
        heads = [flags & END_STREAM for _, flags, _, _ in seen.of("HEADERS")]
        check(heads == [END_STREAM], f"{path}: the frames are {seen.frames}")
        check(not seen.of("DATA"), f"{path}: the frames are {seen.frames}")


def broken_off(site):
    """A body that ends in the middle is no whole one: the stream is reset."""
    seen = nghttp(site, "/abort")
    check(seen.body == "the first half\n", f"the body is {seen.body!r}")
    check([flags for _, flags, _, _ in seen.of("DATA")] == [0], f"the frames are {seen.frames}")
    reasons = [reason for *_, reason in seen.of("RST_STREAM")]
    check(reasons == ["INTERNAL_ERROR"], f"the frames are {seen.frames}")


def early_answer(site):
    """A server that refuses an upload is heard, though it does not read it."""
    check_early(site, "413", "too large\n")


def check_early(site, status, body):
    with large_file() as file:
        seen = nghttp(site, "/early", flags=("-d", file.name))
    check(seen.values(":status") == [status], f"it is answered {seen.fields}")
    check(seen.body == body or body is None, f"the body is {seen.body!r}")
    check(seen.of("DATA")[-1][1] & END_STREAM, f"the frames are {seen.frames}")
    # "Stop sending, all is well" (RFC 9113 8.1), unless nghttp has gone by then.
    reasons = {reason for *_, reason in seen.of("RST_STREAM")}
    check(reasons <= {"NO_ERROR"}, f"the frames are {seen.frames}")


def large_file():
    file = tempfile.NamedTemporaryFile("wb", prefix="e2e-")
    file.truncate(LARGE)
    return file


def padded(site):
    """Padding is taken off, and what it pads is whole."""
    with tempfile.NamedTemporaryFile("wb", prefix="e2e-") as body:
        body.write(bytes(100_000))
        body.flush()
        seen = nghttp(site, "/", flags=("-b", "255", "-d", body.name))
    check(seen.request()["bytes"] == 100_000, f"it saw {seen.body}")


def continuation(site):
    """A head that needs CONTINUATION frames."""
    seen = nghttp(site, "/", flags=("--continuation",))
    headers = seen.request()["headers"]
    check(any(len(value) > 3000 for (value,) in headers.values()), f"it saw {headers}")


def small_windows(site):
    """A client whose windows hold 127 bytes gets all of the answer, in as many frames."""
    seen = nghttp(site, "/bytes/5000", flags=("-n", "-w", "7", "-W", "7"))
    lengths = [length for length, *_ in seen.of("DATA")]
    check(sum(lengths) == 5000 and max(lengths) <= 127, f"the frames are {seen.frames}")


def many(site):
    """One connection, 100 requests at once."""
    seen = nghttp(site, "/bytes/20000", flags=("-n", "-m", "100"))
    statuses = seen.values(":status")
    check(statuses == ["200"] * 100, f"{len(statuses)} answers: {set(statuses)}")
    total = sum(length for length, *_ in seen.of("DATA"))
    check(total == 100 * 20_000, f"{total} bytes came")


def push(site):
    """The hub lets no server push: it says so in its SETTINGS, and the server's answer tells."""
    told = {}
    for way, route in (
        ("hub", site.route if site.twin else None),
        ("straight", site.twin or site.route),
    ):
        if route:
            seen = nghttp(site, "/push", route=route)
            told[way] = len(seen.of("PUSH_PROMISE")), "pushed\n" in seen.body
            check(seen.values(":status")[0] == "200", f"{way}: the fields are {seen.fields}")
    check(told["straight"] == (1, True), f"straight from the server there is no push: {told}")
    check(told.get("hub", (0, False)) == (0, False), f"there is a push through the hub: {told}")


SITE_CASES = {
    "get": get,
    "early-hints": early_hints,
    "trailers": trailers,
    "end-of-stream": end_of_stream,
    "broken-off": broken_off,
    "early-answer": early_answer,
    "padded": padded,
    "continuation": continuation,
    "small-windows": small_windows,
    "many": many,
    "push-refused": push,
}


# === the hub itself ===


def refused_upload(world, hub):
    """Who uploads to nobody is told so at once."""
    check_early(
        Site(Route(hub.target, None, hub.ca, [hub.process]), "nobody-here", None), "503", None
    )


HUB_CASES = {"refused-upload": refused_upload}
