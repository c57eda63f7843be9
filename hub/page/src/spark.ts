// The last minutes of a name, as small as a word.
//
// uPlot draws on a canvas of its own, with listeners and axes: forty of them a second are a burden. Two SVG paths are not, and take
// their colours from the style sheet, whatever the theme.

import type { Recent } from "./gen/hub/v1/names_pb.ts";
import { setAttribute, svg } from "./dom.ts";

const WIDTH = 96;
const HEIGHT = 22;
/** How long ago its left end is: as long as the hub remembers, so that all of a list are about the same time. */
const SPAN_MS = 5 * 60_000;

/** A sparkline; `show` draws calls as an area and errors as a red one before it. */
export function spark() {
  const base = svg("path", { class: "spark-base", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` });
  const calls = svg("path", { class: "spark-calls" });
  const errors = svg("path", { class: "spark-errors" });
  const box = `0 0 ${WIDTH} ${HEIGHT}`;
  const root = svg(
    "svg",
    { class: "spark", viewBox: box, preserveAspectRatio: "none", "aria-hidden": "true" },
    base,
    calls,
    errors,
  );
  return {
    root,
    show(recent: readonly Recent[], stepMs: number) {
      const all = Math.max(1, Math.round(SPAN_MS / stepMs) - 1);
      // The last step is not over, and would look like a fall.
      const steps = recent.slice(0, -1).slice(-all);
      const top = Math.max(1, ...steps.map((step) => step.calls));
      setAttribute(calls, "d", area(steps.map((step) => step.calls / top), all));
      setAttribute(errors, "d", area(steps.map((step) => step.errors / top), all));
    },
  };
}

/**
 * The outline of columns from the ground up, each a share of the height: the last ones of so many. What is not nothing is seen.
 */
function area(shares: number[], all: number): string {
  if (shares.every((share) => share === 0)) return "";
  const width = WIDTH / all;
  const left = (at: number) => ((all - shares.length + at) * width).toFixed(1);
  const columns = shares.map((share, at) => {
    const height = share > 0 ? Math.max(1.5, share * (HEIGHT - 2)) : 0;
    return `V${(HEIGHT - height).toFixed(1)}H${left(at + 1)}`;
  });
  return `M${left(0)} ${HEIGHT}${columns.join("")}V${HEIGHT}Z`;
}
