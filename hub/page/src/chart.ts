// Calls and errors of the last minutes, by uPlot.

import type { Duration } from "@bufbuild/protobuf/wkt";
import uPlot from "uplot";
import type { Recent } from "./gen/hub/v1/names_pb.ts";
import { element, setAttribute, setText } from "./dom.ts";
import * as format from "./format.ts";
import { onTheme } from "./theme.ts";

const HEIGHT = 200;

export class Chart {
  private readonly frame = element("div", { class: "chart" });
  private readonly told = element("p", { class: "note" });
  readonly root: HTMLElement;
  private readonly plot: uPlot;
  private readonly resized: ResizeObserver;
  private readonly forgetTheme: () => void;
  private steps: readonly Recent[] = [];
  private seconds = 1;

  constructor() {
    const title = element("h2", {}, "Last minutes", element("span", { class: "note" }, "calls a second, errors in red"));
    this.root = element("section", {}, title, this.frame, this.told);
    this.plot = new uPlot(options(() => this.tell()), [[], [], []], this.frame);
    this.resized = new ResizeObserver(() => {
      const width = this.frame.clientWidth;
      if (width > 0) this.plot.setSize({ width, height: HEIGHT });
    });
    this.resized.observe(this.frame);
    this.forgetTheme = onTheme(() => this.plot.redraw(false));
  }

  show(recent: readonly Recent[], step: Duration | undefined): void {
    this.seconds = step ? format.milliseconds(step) / 1000 : 1;
    // The last step is not over, and would look like a fall.
    this.steps = recent.slice(0, -1);
    // Steps are at times that are a multiple of theirs, so that the picture goes on and does not tremble.
    const end = Math.floor(Date.now() / 1000 / this.seconds) * this.seconds;
    const times = this.steps.map((_, at) => end - (this.steps.length - at) * this.seconds);
    const calls = this.steps.map((it) => it.calls / this.seconds);
    const errors = this.steps.map((it) => it.errors / this.seconds || null);
    // A step is drawn up to the next point, so there is one more.
    this.plot.setData([[...times, end], [...calls, calls.at(-1)], [...errors, null]]);
    this.root.hidden = this.steps.length === 0;
    this.tell();
  }

  close(): void {
    this.resized.disconnect();
    this.forgetTheme();
    this.plot.destroy();
  }

  /** In words: the step that is pointed at, or all of them. */
  private tell(): void {
    const at = this.plot.cursor.idx;
    const step = typeof at === "number" ? this.steps[at] : undefined;
    if (step) {
      const when = format.time(new Date(this.plot.data[0][at as number]! * 1000));
      setText(this.told, `${when}, in ${this.seconds} s: ${format.things(step.calls, "call")}, ${format.things(step.errors, "error")}`);
      return;
    }
    const sum = (of: (it: Recent) => number) => this.steps.reduce((all, it) => all + of(it), 0);
    const all = `${format.things(sum((it) => it.calls), "call")}, ${format.things(sum((it) => it.errors), "error")}`;
    const text = `${all} in ${format.span(this.steps.length * this.seconds * 1000)}`;
    setText(this.told, text);
    setAttribute(this.frame, "role", "img");
    setAttribute(this.frame, "aria-label", text);
  }
}

/** A colour of the style sheet, as it is now. */
function colour(name: string): () => string {
  return () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(pointed: () => void): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: colour("--quiet"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  const bars = uPlot.paths.bars!({ align: 1, size: [1, Infinity] });
  const columns = uPlot.paths.stepped!({ align: 1 });
  return {
    width: 600,
    height: HEIGHT,
    padding: [8, 28, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] } },
    axes: [
      { ...axis, size: 28, values: "{HH}:{mm}:{ss}", space: 90 },
      { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => format.rate(tick)) },
    ],
    series: [
      {},
      { label: "Calls", stroke: colour("--accent"), fill: colour("--accent-pale"), width: 1.5, paths: columns, points: { show: false } },
      // Columns without an outline: no error is nothing at all, and not a red line on the ground.
      { label: "Errors", fill: colour("--bad"), width: 0, paths: bars, points: { show: false } },
    ],
    hooks: { setCursor: [pointed] },
  };
}
