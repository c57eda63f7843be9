"""Bar charts as SVG, for light and for dark pages."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

WIDTH, ROW, TOP, LABELS, VALUES = 800, 26, 44, 276, 150
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.note { fill: #59636e; font-size: 12px; }
.ours { font-weight: 600; }
.bar { fill: #a8b3bf; }
.tail { fill: #d5dbe1; }
.bar.ours { fill: #0969da; }
.tail.ours { fill: #a5cdfb; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .bar { fill: #59636e; }
  .tail { fill: #343b43; }
  .bar.ours { fill: #4493f8; }
  .tail.ours { fill: #1d4377; }
}
""".strip()


@dataclass
class Bar:
    """One line of a chart."""

    label: str
    value: float
    told: str
    is_ours: bool = False
    # Drawn behind the value, for latencies of the slowest.
    tail: float = 0.0


def draw(title, note, bars):
    """A chart of horizontal bars, as the text of a file."""
    height = TOP + ROW * len(bars) + 12
    longest = max((max(bar.value, bar.tail) for bar in bars), default=1.0)
    room = WIDTH - LABELS - VALUES
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}\n</style>",
        f'<text class="title" x="8" y="20">{escape(title)}</text>',
        f'<text class="note" x="8" y="37">{escape(note)}</text>',
    ]
    for number, bar in enumerate(bars):
        top = TOP + ROW * number
        ours = " ours" if bar.is_ours else ""
        ends = [room * value / longest for value in (bar.tail, bar.value)]
        lines.append(
            f'<text class="label{ours}" x="{LABELS - 8}" y="{top + 18}" text-anchor="end">'
            f"{escape(bar.label)}</text>"
        )
        for name, end in zip(("tail", "bar"), ends):
            if end:
                lines.append(
                    f'<rect class="{name}{ours}" x="{LABELS}" y="{top + 4}" '
                    f'width="{end:.1f}" height="{ROW - 8}" rx="2"/>'
                )
        lines.append(
            f'<text class="value{ours}" x="{LABELS + max(ends) + 6:.1f}" y="{top + 18}">'
            f"{escape(bar.told)}</text>"
        )
    return "\n".join(lines) + "\n</svg>\n"
