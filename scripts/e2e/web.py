"""A plain HTTP/2 server as curl meets it, by name and straight, and whether the two are the same."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import COMMAND_LIMIT_S, Route, check, command

# Sent over every route, so that the server sees the same request whichever way it comes.
AUTHORITY = "site.example:8443"
# Chosen to take some hundred frames and many turns of the windows.
LARGE = 32 << 20


@dataclass
class Answer:
    """All that curl tells of an answer."""

    code: int
    said: str
    version: str
    # Each with its status and its headers; 1xx come before the last one.
    heads: list
    trailers: list
    body: bytes

    @property
    def status(self):
        """The status of the real response."""
        return self.heads[-1][0] if self.heads else None

    def header(self, name):
        """All values of a header of the real response."""
        return [value for key, value in self.heads[-1][1] if key == name]

    def trailer(self, name):
        """All values of a trailer."""
        return [value for key, value in self.trailers if key == name]

    def comparable(self):
        """What two answers to one request have in common: no date, and no order of headers."""

        def fields(pairs):
            return sorted((pair for pair in pairs if pair[0] != "date"), key=lambda pair: pair[0])

        heads = [(status, fields(headers)) for status, headers in self.heads]
        digest = hashlib.sha256(self.body).hexdigest()
        return self.code, self.version, heads, fields(self.trailers), len(self.body), digest


@dataclass
class Site:
    """A plain HTTP/2 server, reached over a route.

    What comes over `twin`, if there is one, has to be the same: a route straight to that server.
    """

    route: Route
    # The name, also where nobody asks for it.
    name: str
    twin: Route | None

    def get(self, path, *flags):
        """One request; curl's flags say which."""
        answer = curl(self.route, self.name, path, *flags)
        if self.twin:
            straight = curl(self.twin, self.name, path, *flags).comparable()
            check(
                answer.comparable() == straight,
                f"{path} answers {short(answer.comparable())}, and straight {short(straight)}",
            )
        return answer

    def seen(self, path, *flags):
        """The request as the server says that it saw it."""
        answer = self.get(path, *flags)
        check(answer.code == 0 and answer.status == 200, f"{path} answers {answer}")
        return json.loads(answer.body)


def short(value):
    """A value as a line of a report."""
    text = repr(value)
    return text if len(text) < 1500 else f"{text[:1500]}…"


def curl(route, name, path, *flags):
    """Runs curl, with HTTP/2 from the first byte, or by ALPN. No name: the hub itself."""
    with tempfile.TemporaryDirectory(prefix="e2e-") as scratch:
        heads, body = Path(scratch, "heads"), Path(scratch, "body")
        argv = ["curl", "-q", "-sS", "--max-time", COMMAND_LIMIT_S]
        argv += ["--http2"] if route.ca else ["--http2-prior-knowledge"]
        argv += ["-D", heads, "-o", body, "-w", "%{http_version}"]
        argv += ["-H", f"host: {AUTHORITY}", *(["-H", f"name: {name}"] if name else []), *flags]
        argv += ["--cacert", route.ca] if route.ca else []
        done = command(*argv, f"{'https' if route.ca else 'http'}://{route.target}{path}")
        blocks = parse(heads.read_bytes().decode("latin-1")) if heads.exists() else []
        # With -I curl writes the head where the body would be.
        content = body.read_bytes() if body.exists() and "-I" not in flags else b""
    trailers = [block for status, block in blocks if status is None]
    answered = [block for block in blocks if block[0] is not None]
    return Answer(
        done.returncode, done.stderr.strip(), done.stdout, answered, sum(trailers, []), content
    )


def parse(text):
    """The blocks of curl's header file: a head begins with its status, trailers do not."""
    blocks = []
    for block in text.split("\r\n\r\n"):
        lines = block.strip("\r\n").split("\r\n")
        status = None
        if lines[0].startswith("HTTP/"):
            status = int(lines.pop(0).split()[1])
        pairs = [
            tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "")
            for line in lines
            if line
        ]
        if status is not None or pairs:
            blocks.append((status, pairs))
    return blocks


def scratch_file(size):
    """A file with `size` bytes that no compression shrinks, and their digest."""
    content = hashlib.shake_256(b"a large request").digest(size)
    file = tempfile.NamedTemporaryFile(prefix="e2e-")
    file.write(content)
    file.flush()
    return file, hashlib.sha256(content).hexdigest()
