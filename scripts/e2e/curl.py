"""What curl gets from a plain HTTP/2 server: by name as straight from it."""

from __future__ import annotations

import gzip
import hashlib
import json

from harness import Route, check
from web import AUTHORITY, LARGE, curl, scratch_file, short

# === requests ===


def get(site):
    """A request arrives as it was sent."""
    for target in (
        "/page?q=1&q=2&empty=&%C3%BC=%20+/?",
        "/a%20b/%2F/c;d=1//e/./../f?",
        "/~!$&'()*+,;=:@[]{}|^\\\"?{}|^`\\'[]",
        "/ü?ü",
        "/" + "long" * 2000,
    ):
        seen = site.seen("/", "--request-target", target, "-H", "x-twice: 1", "-H", "x-twice: 2")
        check(seen["target"] == target, f"it saw {seen['target']!r}, not {target!r}")
        check(seen["authority"] == AUTHORITY, f"it saw the authority {seen['authority']!r}")
        check(seen["headers"]["X-Twice"] == ["1", "2"], f"it saw {seen['headers']}")
        check(seen["headers"]["Name"] == [site.name], f"it saw the name {seen['headers']}")


def http_version(site):
    """It is HTTP/2 that is being tested."""
    version = site.get("/").version
    check(version == "2", f"it is HTTP/{version}")


def methods(site):
    """Those that everybody knows, and some that hardly anybody does, with and without a body."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "M-SEARCH", "get"):
        for flags in ((), ("-d", "a body")):
            seen = site.seen("/m", "-X", method, *flags)
            check(seen["method"] == method, f"it saw {seen['method']}, not {method}")
            check(seen["bytes"] == (6 if flags else 0), f"{method}: it saw {seen['bytes']} bytes")


def options_all(site):
    """`OPTIONS *` asks about the server, not about a path."""
    seen = site.seen("/", "-X", "OPTIONS", "--request-target", "*")
    check(seen["target"] == "*" and seen["method"] == "OPTIONS", f"it saw {seen}")


def request_headers(site):
    """What is easily spoilt: empty, repeated, cookies, not ASCII, many, long."""
    flags = ["-H", "x-empty;", "-H", "cookie: a=1; b=2", "-H", "cookie: c=3", "-H", "te: trailers"]
    flags += ["-H", "x-utf-8: gr\u00fcezi", "-H", f"x-long: {'v' * 20_000}"]
    flags += [part for number in range(100) for part in ("-H", f"x-many-{number}: {number}")]
    flags += ["-H", "hub-made-up: the hub's own go no further"] if site.twin else []
    # Not compared: straight from the server nobody takes `hub-*` off.
    headers = json.loads(curl(site.route, site.name, "/", *flags).body)["headers"]
    check(headers["X-Empty"] == [""], f"empty: {headers.get('X-Empty')}")
    check(headers["Cookie"] == ["a=1; b=2; c=3"], f"cookies: {headers.get('Cookie')}")
    check(headers["X-Utf-8"] == ["gr\u00fcezi"], f"not ASCII: {headers.get('X-Utf-8')}")
    check(headers["Te"] == ["trailers"], f"te: {headers.get('Te')}")
    check(len(headers["X-Long"][0]) == 20_000, "the long one is shorter")
    check(all(headers[f"X-Many-{n}"] == [str(n)] for n in range(100)), "of many some are missing")
    check("Hub-Made-Up" not in headers, "a hub-* header of the client came to the server")


def post_large(site):
    """A large request, with its length and without."""
    file, digest = scratch_file(LARGE)
    with file:
        for flags, length in (
            (("--data-binary", f"@{file.name}"), LARGE),
            (("-T", file.name), LARGE),
        ):
            seen = site.seen("/upload", "-X", "POST", "-H", "expect:", *flags)
            check((seen["sha256"], seen["bytes"]) == (digest, LARGE), f"it saw {seen}")
            check(seen["content_length"] == length, f"it saw the length {seen['content_length']}")
        seen = site.seen("/upload", "-T", file.name, "-H", "content-length:", "-H", "expect:")
        check((seen["sha256"], seen["content_length"]) == (digest, -1), f"it saw {seen}")


def expect_continue(site):
    """A client that asks first is told 100, and then sends."""
    answer = site.get(
        "/upload", "-H", "expect: 100-continue", "-d", "a body", "--expect100-timeout", "15"
    )
    statuses = [status for status, _ in answer.heads]
    check(statuses == [100, 200], f"it is answered {statuses}")
    check(json.loads(answer.body)["bytes"] == 6, f"it saw {answer.body}")


REQUESTS = {
    "http-version": http_version,
    "get": get,
    "methods": methods,
    "options-all": options_all,
    "request-headers": request_headers,
    "post-large": post_large,
    "expect-continue": expect_continue,
}


# === answers ===


def head(site):
    """An answer to HEAD has the length of a body that does not come."""
    for path, length in (("/bytes/12345", "12345"), ("/file", "1000")):
        answer = site.get(path, "-I")
        check((answer.code, answer.status) == (0, 200), f"{path} is answered {answer}")
        check(answer.header("content-length") == [length], f"{path} has {answer.heads}")


STATUSES = [200, 201, 204, 205, 301, 304, 400, 401, 404, 418, 429, 500, 502, 503, 504, 299, 999]


def statuses(site):
    """All kinds, with their bodies, and codes of nobody's."""
    for code in STATUSES:
        answer = site.get(f"/status/{code}")
        body = b"" if code in (204, 304) else f"this is {code}\n".encode()
        check((answer.code, answer.status) == (0, code), f"{code} is answered {answer}")
        check(answer.header("x-status") == [str(code)], f"{code} has {answer.heads}")
        check(answer.body == body, f"{code} has the body {answer.body}")
        check(not answer.header("hub-reason"), f"{code} looks like the hub's own")


def response_headers(site):
    """Repeated, empty, not ASCII, cookies, many, long."""
    # Not compared: the server sends a `hub-*` header, which straight from it nobody takes off.
    answer = curl(site.route, site.name, "/headers/500/20")
    check((answer.code, answer.status) == (0, 200), f"it is answered {answer}")
    many = [value for key, value in answer.heads[-1][1] if key.startswith("x-many-")]
    check(many == ["v" * 20] * 500, f"{len(many)} of 500 headers came")
    for name, values in (
        ("set-cookie", ["a=1; Path=/", "b=2; HttpOnly", "a=3"]),
        ("x-repeated", ["one", "", "two, three", "one"]),
        ("x-empty", [""]),
        ("x-latin-1", ["gr\u00fcezi"]),
        ("server", ["plain"]),
        ("via", ["2 nobody"]),
        # Only a hub takes it off.
        ("hub-made-up", [] if site.twin else ["the server's own"]),
    ):
        check(answer.header(name) == values, f"{name} is {answer.header(name)}")
    answer = curl(site.route, site.name, "/headers/3/20000")
    check(answer.header("x-many-2") == ["v" * 20_000], f"a long one came as {short(answer)}")


def early_hints(site):
    """Each 1xx comes, with its own headers, before the answer."""
    answer = site.get("/hints")
    links = [
        (status, [value for key, value in headers if key == "link"])
        for status, headers in answer.heads
    ]
    want = [(103, ["</a.css>; rel=preload"]), (103, ["</b.css>; rel=preload"]), (200, [])]
    check(links == want, f"it is answered {links}")
    check(answer.body == b"after the hints\n", f"the body is {answer.body}")


def trailers(site):
    """Trailers are not gRPC's alone, and need no announcement."""
    answer = site.get("/trailers/open")
    check(answer.body == b"before the trailers\n", f"the body is {answer.body}")
    check(answer.header("trailer") == ["X-Announced"], f"announced: {answer.heads}")
    check(answer.trailer("x-announced") == ["yes"], f"the trailers are {answer.trailers}")
    check(answer.trailer("x-unannounced") == ["one", "two"], f"the trailers are {answer.trailers}")


def download_large(site):
    """A large answer, byte for byte."""
    answer = site.get(f"/bytes/{LARGE}")
    check(
        answer.code == 0 and len(answer.body) == LARGE, f"{len(answer.body)} bytes: {answer.said}"
    )
    check(answer.header("content-length") == [str(LARGE)], f"the head is {answer.heads}")


def echo_large(site):
    """Both ways at once: the answer comes while the request is still being sent."""
    file, digest = scratch_file(LARGE)
    with file:
        answer = site.get("/echo", "-T", file.name, "-X", "POST", "-H", "expect:")
    check(
        hashlib.sha256(answer.body).hexdigest() == digest,
        f"{len(answer.body)} bytes: {answer.said}",
    )
    check(answer.trailer("x-sha256") == [digest], f"the trailers are {answer.trailers}")


def compressed(site):
    """A compressed body is passed on as it is."""
    answer = site.get("/gzip", "-H", "accept-encoding: gzip")
    check(answer.header("content-encoding") == ["gzip"], f"the head is {answer.heads}")
    check(gzip.decompress(answer.body) == b"squeezed " * 1000, "it does not decompress")


def ranges_and_conditions(site):
    """206, 416, 304, 412: what a cache asks for."""
    part = site.get("/file", "-H", "range: bytes=10-14")
    check((part.status, part.body) == (206, b"01234"), f"a range is answered {part}")
    check(part.header("content-range") == ["bytes 10-14/1000"], f"a range has {part.heads}")
    parts = site.get("/file", "-H", "range: bytes=5000-")
    check(parts.status == 416, f"a range beyond the end is answered {parts}")
    same = site.get("/file", "-H", 'if-none-match: "one"')
    check((same.status, same.body) == (304, b""), f"what is cached is answered {same}")
    check(same.header("etag") == ['"one"'], f"304 has {same.heads}")
    other = site.get("/file", "-H", 'if-match: "two"')
    check(other.status == 412, f"another version is answered {other}")


def connect_json(site):
    """The Connect protocol by hand."""
    flags = ("-H", "content-type: application/json", "-H", "connect-protocol-version: 1", "-d")
    answer = site.get("/e2e.v1.Echo/Unary", *flags, '{"text": "gr\u00fcezi"}')
    check((answer.status, json.loads(answer.body)) == (200, {"text": "gr\u00fcezi"}), f"{answer}")
    answer = site.get("/e2e.v1.Echo/Fail", *flags, '{"code": 5, "message": "not here"}')
    failed = json.loads(answer.body)
    check((answer.status, failed["code"]) == (404, "not_found"), f"an error is {answer}")


ANSWERS = {
    "head": head,
    "statuses": statuses,
    "response-headers": response_headers,
    "early-hints": early_hints,
    "trailers": trailers,
    "download-large": download_large,
    "echo-large": echo_large,
    "compressed": compressed,
    "ranges": ranges_and_conditions,
    "connect-json": connect_json,
}

SITE_CASES = {**REQUESTS, **ANSWERS}


# === the hub itself ===


def refusals(world, hub):
    """What the hub answers itself: a status and a sentence; HEAD gets the status alone."""
    world.through(hub, "plain")
    route = Route(hub.target, None, hub.ca, [hub.process])
    for name, flags, status, reason in (
        (None, (), 404, "no-name"),
        ("nobody-here", (), 503, "unknown-name"),
        ("Not A Name", (), 400, "bad-name"),
        ("plain", ("-H", "name: plain"), 400, "bad-name"),
    ):
        answer = curl(route, name, "/page", *flags)
        check((answer.code, answer.status) == (0, status), f"{name} is answered {answer}")
        check(answer.header("hub-reason") == [reason], f"{name} is answered {answer}")
        check(answer.body.endswith(b"\n") and len(answer.body) > 10, f"{name} is answered {answer}")
        bare = curl(route, name, "/page", "-I", *flags)
        check((bare.code, bare.status) == (0, status), f"HEAD to {name} is answered {bare}")


HUB_CASES = {"refusals": refusals}
