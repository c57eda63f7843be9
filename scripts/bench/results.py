"""What was measured: as tables, as JSON, as charts."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from statistics import median

import chart
from loads import LOADS, digits
from report import table, write

# What everything else is measured by.
YARDSTICK = "two plain TCP hops"
OURS = "the hub"
# Other builds are for whoever works on the hub.
OTHERS = "other build"


@dataclass
class Runs:
    """What became of one load over one way: a value a round for each measure, in the order of the load's."""

    values: list
    # Of all programs between client and server, for a call.
    cpu_s: list = field(default_factory=list)
    failed: int = 0

    def told(self, number, measure):
        """The median, and between which values it is."""
        values = self.values[number]
        return f"{measure.told(median(values))} ({digits(min(values))}–{digits(max(values))})"

    def beside(self, yardstick):
        """The median of the ratios of each round, by the first measure."""
        pairs = zip(self.values[0], yardstick.values[0])
        return f"{median(one / other for one, other in pairs):.2f}"

    def cost(self):
        """Processor time of the hops."""
        value = median(self.cpu_s)
        return f"{value * 1e3:,.0f} ms" if value >= 1e-3 else f"{value * 1e6:,.1f} us"


class Results:
    """All runs, by load and by way."""

    def __init__(self, rounds, versions):
        self.rounds = rounds
        self.versions = versions
        self.runs = {}

    def add(self, name, title, said, cpu_s):
        """Takes in what `load` has said of one run."""
        runs = self.of(name, title)
        for values, measure in zip(runs.values, LOADS[name].measures):
            values.append(measure.read(said))
        runs.cpu_s.append(cpu_s / said["calls"])

    def fail(self, name, title):
        """Takes in that a run has failed: the numbers of the others count for nothing."""
        self.of(name, title).failed += 1

    def of(self, name, title):
        """The runs of a load over a way."""
        empty = Runs([[] for _ in LOADS[name].measures])
        return self.runs.setdefault(name, {}).setdefault(title, empty)

    def label(self, title):
        """A way with its version."""
        version = self.versions.get(title, "")
        return f"{title} (HAProxy {version})" if title == YARDSTICK else f"{title} {version}".strip()

    def heading(self):
        """When a number is good for anything, it is with these."""
        return (
            f"{self.rounds} rounds; {os.cpu_count()} cores, shared by client, hops and server. "
            "Medians, and in brackets the least and the most.\n"
        )

    def tables(self):
        """A table a load, a row a way."""
        return self.heading() + "".join("\n" + self.table(name) for name in self.runs)

    def table(self, name):
        """The table of one load."""
        load, yardstick = LOADS[name], self.runs[name][YARDSTICK]
        rows = []
        for title, runs in self.runs[name].items():
            label = self.label(title)
            if runs.failed or yardstick.failed:
                rows.append((label, *("failed" for _ in load.measures), "", ""))
                continue
            told = [runs.told(number, measure) for number, measure in enumerate(load.measures)]
            rows.append((label, *told, runs.beside(yardstick), runs.cost()))
        titles = [measure.title for measure in load.measures]
        return table((load.title, *titles, f"{titles[0]} beside {YARDSTICK}", "hops' processor time"), rows)

    def json(self):
        """All values of all rounds."""
        loads = {
            name: {
                "title": LOADS[name].title,
                "ways": {title: self.run_json(name, runs) for title, runs in ways.items()},
            }
            for name, ways in self.runs.items()
        }
        whole = {
            "rounds": self.rounds,
            "cores": os.cpu_count(),
            "versions": {title: version for title, version in self.versions.items() if version},
            "loads": loads,
        }
        # A line a list.
        return re.sub(r"(?<=[\[\d])(,?)\n +(?=[\d\]])", r"\1 ", json.dumps(whole, indent=1)) + "\n"

    def run_json(self, name, runs):
        """One load over one way."""
        told = {
            measure.title: [float(f"{value:.6g}") for value in values]
            for measure, values in zip(LOADS[name].measures, runs.values)
        }
        return {
            **told,
            "hops_cpu_us": [round(seconds * 1e6, 1) for seconds in runs.cpu_s],
            "failed_runs": runs.failed,
        }

    def rates(self, name, note):
        """A chart of a load whose first measure is a rate."""
        load = LOADS[name]
        bars = []
        for title, runs in self.charted(name):
            value = median(runs.values[0])
            bars.append(
                chart.Bar(self.label(title), value, load.measures[0].told(value), title == OURS)
            )
        return chart.draw(load.title, note, bars)

    def latencies(self, name, note):
        """A chart of a load whose first two measures are latencies."""
        bars = []
        for title, runs in self.charted(name):
            value, tail = (median(values) for values in runs.values[:2])
            told = f"{digits(value)} · {digits(tail)} us"
            bars.append(chart.Bar(self.label(title), value, told, title == OURS, tail))
        return chart.draw(LOADS[name].title, note, bars)

    def charted(self, name):
        """The ways that a chart shows."""
        for title, runs in self.runs[name].items():
            if not runs.failed and OTHERS not in title and "TLS" not in title:
                yield title, runs

    def write(self, folder):
        """Puts all of it into a folder, which has the page."""
        write(folder / "README.md", "\n" + self.tables())
        (folder / "results.json").write_text(self.json())
        note = f"median of {self.rounds} rounds on {os.cpu_count()} cores; "
        if "calls" in self.runs:
            more = note + "more is better"
            (folder / "calls.svg").write_text(self.rates("calls", more))
        if "paced" in self.runs:
            less = note + "p50 and p99, counted from when a call was due; less is better"
            (folder / "latency.svg").write_text(self.latencies("paced", less))
