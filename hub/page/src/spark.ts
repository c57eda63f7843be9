// The last minutes of a name, as small as a word.
//
// uPlot draws on a canvas of its own, with listeners and axes: forty of them a second are a burden. Two SVG paths are not, and take
// their colours from the style sheet, whatever the theme.

import type { Recent } from "./gen/hub/v1/names_pb.ts";
import { setAttribute, svg } from "./dom.ts";

const WIDTH = 96;
const HEIGHT = 22;

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
    show(recent: readonly Recent[]) {
      // The last step is not over, and would look like a fall.
      const steps = recent.slice(0, -1);
      const top = Math.max(1, ...steps.map((step) => step.calls));
      setAttribute(calls, "d", area(steps.map((step) => step.calls / top)));
      setAttribute(errors, "d", area(steps.map((step) => step.errors / top)));
    },
  };
}

/** The outline of columns from the ground up, each a share of the height. What is not nothing is seen. */
function area(shares: number[]): string {
  if (shares.every((share) => share === 0)) return "";
  const width = WIDTH / shares.length;
  const columns = shares.map((share, at) => {
    const height = share > 0 ? Math.max(1.5, share * (HEIGHT - 2)) : 0;
    return `L${(at * width).toFixed(1)} ${(HEIGHT - height).toFixed(1)}H${((at + 1) * width).toFixed(1)}`;
  });
  return `M0 ${HEIGHT}${columns.join("")}V${HEIGHT}Z`;
}
