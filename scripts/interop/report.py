"""What came of the cells: told as they end, and as Markdown tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness import check
from peers import CLIENTS, PEERS

# Between them stands what is measured, on a page.
MARKS = ("<!-- measured -->\n", "<!-- /measured -->\n")
# Why a case failed, as far as one line has room.
WHY_CHARS = 300
# The case that has a hub of its own, which ends.
CUT = "cut_at_drain"


@dataclass
class Cell:
    """One client against one server over one transport."""

    transport: str
    client: str
    server: str
    cases: list
    # Why each case failed through the hub, and which of them fail straight too.
    failed: dict = field(default_factory=dict)
    own: set = field(default_factory=set)
    seconds: float = 0

    @property
    def title(self):
        """Its name in lists."""
        return f"{self.transport}/{self.client}/{self.server}"

    @property
    def is_cut(self):
        """Whether it has a hub of its own, which ends, and is no cell of the matrix."""
        return self.cases == [CUT]

    @property
    def score(self):
        """Its text in the table."""
        passed = f"{len(self.cases) - len(self.failed)}/{len(self.cases)}"
        ours = len(self.failed) - len(self.own)
        marks = [f"{ours} FAILED"] if ours else []
        marks += [f"{len(self.own)} peer's own"] if self.own else []
        return f"{passed}: {', '.join(marks)}" if marks else passed

    def failures(self):
        """A line a failed case."""
        for case, why in self.failed.items():
            whose = "peer's own" if case in self.own else "FAILED"
            yield f"{self.title}/{case}: {whose}: {' '.join(why.split())[:WHY_CHARS]}"


class Report:
    """All cells, and what else must hold."""

    def __init__(self):
        self.cells = []
        self.broken = []

    def add(self, cell):
        """Tells one cell."""
        self.cells.append(cell)
        title = f"{cell.title}/{CUT}" if cell.is_cut else cell.title
        print(f"{title:<34} {cell.score} ({cell.seconds:.1f} s)", flush=True)
        for line in cell.failures():
            print(f"    {line}", flush=True)

    def check(self, why):
        """Tells what does not hold; None is good."""
        if why is not None:
            self.broken.append(why)
            print(f"FAILED: {why}", flush=True)

    @property
    def counts(self):
        """Cases passed, failed only through the hub, and failed straight too."""
        own = sum(len(cell.own) for cell in self.cells)
        failed = sum(len(cell.failed) for cell in self.cells) - own
        passed = sum(len(cell.cases) for cell in self.cells) - failed - own
        return passed, failed + len(self.broken), own

    def versions(self):
        """The peers."""
        rows = [(name, peer.version, peer.programs) for name, peer in PEERS.items()]
        return table(("peer", "version", "programs"), rows)

    def tables(self):
        """A table a transport, a row a client, a column a server; one of the cuts; what failed."""
        cells = [cell for cell in self.cells if not cell.is_cut]
        text = ""
        for transport in dict.fromkeys(cell.transport for cell in cells):
            scores = {(c.client, c.server): c.score for c in cells if c.transport == transport}
            text += scored(f"{transport}: client \\ server", PEERS, scores)
        cuts = [cell for cell in self.cells if cell.is_cut]
        if cuts:
            transports = dict.fromkeys(cell.transport for cell in cuts)
            scores = {(c.client, c.transport): c.score for c in cuts}
            text += scored(f"{CUT}: client \\ transport", transports, scores)
        failures = [line for cell in self.cells for line in cell.failures()] + self.broken
        return text + "\n" * bool(failures) + "".join(f"- {line}\n" for line in failures)

    def close(self):
        """Prints the closing line and returns the exit code."""
        passed, failed, own = self.counts
        print(f"{passed} passed, {failed} failed, {own} are the peer's own", flush=True)
        return 1 if failed or not passed else 0


def scored(title, columns, scores):
    """A table of scores, a row a client."""
    rows = [
        (client, *(scores.get((client, column), "-") for column in columns)) for client in CLIENTS
    ]
    return "\n" + table((title, *columns), rows)


def table(head, rows):
    """A Markdown table that reads well as it is."""
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(path, text, marks=MARKS):
    """Puts what was measured between the marks of a page."""
    page = path.read_text()
    check(all(page.count(mark) == 1 for mark in marks), f"{path} has no place for it")
    before, rest = page.split(marks[0])
    path.write_text(before + marks[0] + text + "\n" + marks[1] + rest.split(marks[1])[1])
