"""A Prometheus that loads what the repository deploys, only faster, and what is asked of it."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

from harness import DIRECT, check, eventually, free_ports
from words import CONFIG, FILES, RULES

# In place of five minutes, in rates: long enough for some scrapes, on a slow machine too.
WINDOW_S = 10
# In place of each alert's own patience.
PATIENCE_S = 2
FASTER = "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n"


class Server:
    """It scrapes a hub and agents each second."""

    def __init__(self, world, hub, agents):
        folder = world.logs / "prometheus"
        (folder / "prometheus").mkdir(parents=True)
        for name in FILES:
            (folder / "prometheus" / name).write_text(faster((RULES / name).read_text()))
        config = CONFIG.read_text().replace("127.0.0.1:8081", hub)
        config = config.replace('"127.0.0.1:9090"', json.dumps(agents)[1:-1])
        (folder / "prometheus.yml").write_text(FASTER + config)
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        argv = ["prometheus", "--config.file", folder / "prometheus.yml", "--log.level=warn"]
        argv += ["--storage.tsdb.path", folder / "data", f"--web.listen-address=127.0.0.1:{port}"]
        self.process = world.start("prometheus", argv)
        eventually(self.is_ready, "Prometheus is ready", 60)

    def is_ready(self):
        check(self.process.popen.poll() is None, f"Prometheus ended\n{self.process.tail()}")
        try:
            with DIRECT.open(f"{self.url}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path, **what):
        """What its API says."""
        data = urlencode(what).encode() if what else None
        try:
            with DIRECT.open(f"{self.url}/api/v1/{path}", data=data, timeout=30) as answer:
                return json.load(answer)["data"]
        except OSError as error:
            said = error.read().decode() if hasattr(error, "read") else error
            check(False, f"Prometheus says to {what or path}: {said}")

    def query(self, query):
        """The series that a query has now: [(labels, value)]."""
        result = self.ask("query", query=query)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def value(self, query):
        """The value of a query that has one series; None while it has none, or no number."""
        values = [value for _, value in self.query(query) if value == value]
        check(len(values) <= 1, f"{query} has {len(values)} series")
        return values[0] if values else None

    def firing(self):
        """The labels of all alerts that fire."""
        alerts = self.ask("alerts")["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]


def faster(rules):
    """The rules as they are, but for how long they wait and over how long they count."""
    rules = re.sub(r"^( +for:) .*$", rf"\1 {PATIENCE_S}s", rules, flags=re.M)
    return rules.replace("[5m]", f"[{WINDOW_S}s]")
