"""Which metrics and alerts there are, by sources, rules, dashboard and page: they have to agree."""

from __future__ import annotations

import json
import re

from harness import REPO, check

RULES = REPO / "deploy/prometheus"
FILES = ("records.yml", "alerts.yml")
CONFIG = REPO / "deploy/prometheus.yml"
DASHBOARD = REPO / "deploy/grafana/grpc-hub.json"
PAGE = REPO / "docs/metrics.md"
# Where metrics get their names.
SOURCES = [
    REPO / "hub/src/observe/metrics/names.rs",
    REPO / "hub/src/observe/metrics/of_names.rs",
    REPO / "agent/src/metrics/names.rs",
]
# A label, though it begins as a metric does.
LABELS = {"hub_reason"}
PARTS = ("_bucket", "_sum", "_count")


def sources():
    """Every metric that hub and agent may have."""
    text = "\n".join(path.read_text() for path in SOURCES)
    return set(re.findall(r'"((?:hub|agent)_\w+)"', text)) - LABELS


def page():
    """The metrics in the page's tables, with the labels of each."""
    rows = re.findall(r"^\| `((?:hub|agent)_\w+)` \| ([^|]*) \|", PAGE.read_text(), re.M)
    check(len(rows) == len(dict(rows)), "a metric is in the page twice")
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def recorded():
    """What the rules record."""
    return set(re.findall(r"^ *- record: (\S+)$", (RULES / "records.yml").read_text(), re.M))


def alerts():
    """Every alert."""
    return re.findall(r"^ *- alert: (\w+)$", (RULES / "alerts.yml").read_text(), re.M)


def metrics_of(query):
    """The metrics that a query asks for, recorded ones too."""
    bare = re.sub(r'"[^"]*"', '""', query)
    own = set(re.findall(r"(?<!:)\b(?:hub|agent)_\w+\b(?!:)", bare)) - LABELS
    return own | set(re.findall(r"\b\w+:\w+:\w+\b", bare))


def dashboard():
    """The dashboard's queries: (row, panel, query)."""
    row, queries = "", []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        queries += [(row, panel["title"], target["expr"]) for target in panel["targets"]]
    return queries


def on_the_page():
    """The queries in the page, for people to copy."""
    blocks = re.findall(r"^```promql\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    queries = [query for block in blocks for query in re.sub(r"#.*", "", block).split("\n\n")]
    return [query for query in queries if query.strip()]


def variables():
    """What the dashboard's variables ask for: (metric, label)."""
    listed = json.loads(DASHBOARD.read_text())["templating"]["list"]
    asked = [variable["query"]["query"] for variable in listed if variable["type"] == "query"]
    return [re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups() for query in asked]


def parts(families):
    """With the series that a histogram has."""
    return {family + part for family in families for part in ("", *PARTS)}


def check_all():
    """Fails where one of them speaks of what another one does not know."""
    there, told = sources(), page()
    same("metrics of the sources", there, f"of {PAGE.name}", set(told))
    ids = re.findall(r'<a id="(grpchub\w+)"></a>', PAGE.read_text())
    same("alerts", {name.lower() for name in alerts()}, f"of {PAGE.name}", set(ids))
    for name in alerts():
        link = f"runbook: docs/metrics.md#{name.lower()}"
        check(link in (RULES / "alerts.yml").read_text(), f"{name} has no {link}")
    known = parts(there) | recorded()
    rules = "\n".join((RULES / name).read_text() for name in FILES)
    for where, text in (
        ("the rules", re.sub(r"#.*", "", rules)),
        *((f"the dashboard, {panel}", query) for _, panel, query in dashboard()),
        *(("a query of the page", query) for query in on_the_page()),
        *(("a variable of the dashboard", metric) for metric, _ in variables()),
    ):
        unknown = metrics_of(text) - known
        check(not unknown, f"{where}: there is no {', '.join(sorted(unknown))}")


def same(one, these, other, those):
    """Fails unless both have the same."""
    check(these == those, f"{one} and those {other} differ: {', '.join(sorted(these ^ those))}")


def check_live(samples, families):
    """What a program tells is in the page, with the labels that it has."""
    told = page()
    for sample, labels in samples:
        names = [sample, *(cut(sample, part) for part in PARTS)]
        family = next(name for name in names if name in families)
        check(family in told, f"{family} is told, and not in {PAGE.name}")
        extra = {name for name, _ in labels} - {"le"} - told[family]
        check(not extra, f"{PAGE.name} says nothing of {family}'s {', '.join(extra)}")


def cut(text, end):
    """Without this end."""
    return text[: -len(end)] if text.endswith(end) else text
