"""Looks at all hubs of a cluster at once, until somebody says that something has changed."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import datetime


from harness import DIRECT

# What a hub says of itself that tells of a fault.
TELLING = re.compile(
    r"^hub_(peers|peers_suspect|agents|directory_age_seconds|sessions_suspect|calls_parked)(?:\{[^}]*\})? (\S+)$",
    re.MULTILINE,
)
AGE = "directory_age_seconds"
# It is heard of each three seconds.
AGE_S = 5
# Between two looks.
LOOK_S = 0.05
ADMIN_LIMIT_S = 1
DIRECTORY_LOST = "directory lost"


def metrics(address):
    """What of a hub's metrics may tell of a fault, their labels summed up; None if it does not answer."""
    try:
        with DIRECT.open(f"http://{address}:8081/metrics", timeout=ADMIN_LIMIT_S) as page:
            text = page.read().decode()
    except OSError:
        return None
    found = {}
    for name, value in TELLING.findall(text):
        found[name] = found.get(name, 0) + float(value)
    return found


class Looks:
    """Who notices what, and when: from now until `stop`."""

    def __init__(self, hubs):
        self.hubs = hubs
        before = {hub.title: metrics(hub.address) or {} for hub in hubs}
        self.began, self.wall = time.monotonic(), time.time()
        self.stopped, self.lock = threading.Event(), threading.Lock()
        # After how many seconds something was noticed first, and by whom.
        self.first = {}
        self.threads = [
            threading.Thread(target=self.look, args=(hub, before[hub.title]), daemon=True)
            for hub in hubs
        ]
        for thread in self.threads:
            thread.start()

    def look(self, hub, before):
        """At its metrics, until nobody wants to know."""
        while not self.stopped.wait(LOOK_S):
            now, after_s = metrics(hub.address), time.monotonic() - self.began
            for name, value in (now or {}).items():
                was = AGE_S if name == AGE else before.get(name, 0)
                if value > was:
                    self.noticed(name, after_s, f"hub {hub.title}: `hub_{name}` rises")
                elif value < was and name != AGE:
                    self.noticed(name, after_s, f"hub {hub.title}: `hub_{name}` falls")

    def noticed(self, what, after_s, who):
        """The first one counts."""
        with self.lock:
            self.first[what] = min(self.first.get(what, (after_s, who)), (after_s, who))

    def stop(self):
        """The first of each kind that was noticed, by kind."""
        self.stopped.set()
        for thread in self.threads:
            thread.join(ADMIN_LIMIT_S + 1)
        for hub in self.hubs:
            for at, error in directory_losses(hub.process):
                if at > self.wall:
                    who = f"hub {hub.title}: {DIRECTORY_LOST}, {error}"
                    self.noticed(DIRECTORY_LOST, at - self.wall, who)
        return dict(self.first)


def directory_losses(process):
    """When a hub has lost the directory, and why, as its log says."""
    for line in process.lines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        fields = entry.get("fields", entry)
        if fields.get("message", "").startswith(DIRECTORY_LOST):
            error = fields.get("error", "").strip(": ")
            yield datetime.fromisoformat(entry["timestamp"]).timestamp(), error
