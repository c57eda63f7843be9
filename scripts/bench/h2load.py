"""h2load as a client: for loads that count what a caller can get through, of which it makes the most a second."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ways
from harness import check, command

# Of one run.
LIMIT_S = 120
HEADERS = ("content-type: application/grpc", "te: trailers", f"name: {ways.NAME}")


@dataclass(frozen=True)
class Calls:
    """What h2load does on one thread. A run that does not succeed in all of it has failed."""

    title: str
    count: int
    flags: tuple
    measures: tuple
    # Of `count`, before any counts.
    warm_up: int
    path: str
    # Bytes of a request's message and of its answer.
    request: int
    answer: int

    def run(self, programs, way, ca, share=None):
        """What h2load says of a run with a share of the count; without one, of the warm-up."""
        count = self.warm_up if share is None else max(self.warm_up, int(self.count * share))
        scheme = "https" if way.tls else "http"
        url = f"{scheme}://127.0.0.1:{way.port}/bench.Bench/{self.path}"
        with tempfile.TemporaryDirectory() as folder:
            body = Path(folder) / "message"
            body.write_bytes(b"\0" + self.request.to_bytes(4, "big") + bytes(self.request))
            argv = ["h2load", "-t1", *self.flags, f"-n{count}", "-d", body]
            # What it is to hear where the server is asked for it.
            headers = (*HEADERS, f"x-bytes: {self.answer}") if self.path == "Answer" else HEADERS
            argv += [part for header in headers for part in ("-H", header)]
            said = command(*argv, url, limit_s=LIMIT_S).stdout
        succeeded = int(found(r"(\d+) succeeded", said))
        check(succeeded == count, f"{succeeded} of {count} calls succeeded")
        # A refusal in gRPC is a success in HTTP.
        came = int(found(r"traffic:.*\((\d+)\) data", said))
        check(came >= count * self.answer, f"{came} bytes of {count} answers came")
        rate = float(found(r"finished in \S+, ([\d.]+) req/s", said))
        bulk = max(self.request, self.answer)
        return {"calls": count, "calls_per_s": rate, "bytes_per_s": rate * bulk}


def found(pattern, said):
    """A number that h2load tells."""
    hit = re.search(pattern, said)
    check(hit, f"h2load does not tell {pattern}: {said}")
    return hit.group(1)
