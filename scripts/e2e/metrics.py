"""Reads a Prometheus page as strictly as Prometheus does, and refuses what is not well-formed."""

from __future__ import annotations

import re
import urllib.request

from harness import Failed, check

SCRAPE_LIMIT_S = 5
ACCEPT = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
_SAMPLE = re.compile(rf"^({_NAME})(?:\{{((?:{_LABEL},?)*)\}})? (\S+)$")
_COMMENT = re.compile(rf"^# (HELP|TYPE) ({_NAME}) (.+)$")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


def scrape(admin):
    """Fetches and parses /metrics: {(name, sorted labels): value}, and {family: type}."""
    request = urllib.request.Request(f"http://{admin}/metrics", headers={"Accept": ACCEPT})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=SCRAPE_LIMIT_S) as response:
        kind = response.headers["content-type"]
        check(kind.startswith("text/plain; version=0.0.4"), f"the content type is {kind}")
        return parse(response.read().decode())


def parse(page):
    """Parses text format 0.0.4, in which each family has HELP and TYPE before its samples."""
    check(page.endswith("\n"), "the last line has no line feed")
    samples, said, family = {}, {"HELP": {}, "TYPE": {}}, None
    for line in filter(None, page.splitlines()):
        comment = _COMMENT.match(line)
        if comment:
            word, family, text = comment.groups()
            check(family not in said[word], f"{word} {family} comes twice")
            said[word][family] = text
            continue
        sample = _SAMPLE.match(line)
        check(sample, f"no sample, HELP or TYPE: {line!r}")
        name, labels = sample.group(1), tuple(sorted(re.findall(_LABEL, sample.group(2) or "")))
        is_told = family in said["HELP"] and family in said["TYPE"]
        check(is_told, f"{line!r} comes before its HELP and TYPE")
        suffixes = _SUFFIXES.get(said["TYPE"][family], ("",))
        check(name in {family + suffix for suffix in suffixes}, f"{line!r} is in {family}")
        check((name, labels) not in samples, f"{line!r} comes twice")
        samples[name, labels] = float(sample.group(5))
    for family, kind in said["TYPE"].items():
        if kind == "histogram":
            check_histogram(family, samples)
    return samples, said["TYPE"]


def check_histogram(family, samples):
    """Buckets only grow, and the last one is the count."""
    series = {}
    for (name, labels), value in samples.items():
        if name == f"{family}_bucket":
            rest = tuple(label for label in labels if label[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for labels, buckets in series.items():
        values = [value for _, value in sorted(buckets)]
        check(values == sorted(values), f"the buckets of {family} {labels} do not grow")
        check(max(buckets)[0] == float("inf"), f"{family} {labels} has no bucket +Inf")
        check(
            values[-1] == samples.get((f"{family}_count", labels)),
            f"the count of {family} {labels} is another",
        )


def total(samples, name, **labels):
    """The sum of a metric over all series that have these labels."""
    wanted = set(labels.items())
    found = [
        value for (other, have), value in samples.items() if other == name and wanted <= set(have)
    ]
    if not found and not any(other == name for other, _ in samples):
        raise Failed(f"there is no {name}")
    return sum(found)
