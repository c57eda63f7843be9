// The columns of the list of names: what each shows, and what the list can be ordered by.

import { NameOrder, type Name } from "./gen/hub/v1/names_pb.ts";
import { element, setAttribute, setText } from "./dom.ts";
import * as format from "./format.ts";
import { nameLink } from "./route.ts";
import { spark } from "./spark.ts";
import { shape, stateOf } from "./states.ts";

export interface Column {
  /** In links and classes. */
  id: string;
  title: string;
  /** What the numbers mean. */
  hint: string;
  /** What the hub orders by; not set where it does not. */
  order?: NameOrder;
  /** Ordered by it, the largest come first. */
  largestFirst?: boolean;
  /** The hub orders by a time of which the age is shown: the later that is, the smaller this. */
  isAge?: boolean;
  /** Fills its cell once, and returns what shows a name in it. */
  fill(cell: HTMLElement): (name: Name, stepMs: number) => void;
}

/** A column of one number, which is pale where there is nothing to see. */
function number(
  id: string,
  title: string,
  hint: string,
  text: (name: Name) => string,
  order?: NameOrder,
): Column {
  const fill = (cell: HTMLElement) => (name: Name) => {
    const now = text(name);
    setText(cell, now);
    cell.classList.toggle("nothing", now === "0" || now === format.NONE || now === "0 B");
  };
  return { id, title, hint, order, largestFirst: order !== undefined, fill };
}

const STATE: Column = {
  id: "state",
  title: "State",
  hint: "Ordered by it, the worst come first.",
  order: NameOrder.UNSPECIFIED,
  fill(cell) {
    const mark = shape();
    const word = element("span", { class: "word" });
    cell.append(mark.root, word);
    return (name) => {
      const state = stateOf(name.state);
      mark.show(state);
      setText(word, state.word);
      setAttribute(cell, "title", state.sentence);
    };
  },
};

const NAME: Column = {
  id: "name",
  title: "Name",
  hint: "As agents register it and clients ask for it.",
  order: NameOrder.NAME,
  fill(cell) {
    const link = element("a");
    // On narrow screens it says what other columns do on wide ones.
    const below = element("span", { class: "below" });
    cell.append(link, below);
    return (name) => {
      setText(link, name.name);
      setAttribute(link, "href", nameLink(name.name));
      setAttribute(link, "title", name.name);
      const state = stateOf(name.state);
      setText(below, `${state.word} · ${format.things(name.agents, "agent")} · ${format.age(name.since)}`);
    };
  },
};

const ERRORS: Column = {
  ...number(
    "errors",
    "Errors/s",
    "Calls a second that ended badly by the server's fault or the hub's, over the last minute.",
    (name) => format.rate(name.errorsRate),
    NameOrder.ERRORS,
  ),
  fill(cell) {
    return (name) => {
      setText(cell, format.rate(name.errorsRate));
      cell.classList.toggle("nothing", name.errorsRate === 0);
      cell.classList.toggle("bad", name.errorsRate > 0);
    };
  },
};

const RECENT: Column = {
  id: "recent",
  title: "Recent",
  hint: "Calls of the last minutes, errors in red; each name has a scale of its own.",
  fill(cell) {
    const line = spark();
    cell.append(line.root);
    return (name, stepMs) => line.show(name.recent, stepMs);
  },
};

export const COLUMNS: readonly Column[] = [
  STATE,
  NAME,
  number("agents", "Agents", "Agent processes that have it, at all hubs.", (it) => format.count(it.agents)),
  number("sessions", "Sessions", "WebSockets from its agents.", (it) => format.count(it.sessions)),
  number("lanes", "Lanes", "Connections of callers to its servers, by way of this hub.", (it) =>
    format.count(it.lanes),
  ),
  number(
    "flight",
    "Running",
    "Calls that run now.",
    (it) => format.count(it.callsInFlight),
    NameOrder.IN_FLIGHT,
  ),
  number(
    "calls",
    "Calls/s",
    "Calls a second that ended, over the last minute.",
    (it) => format.rate(it.callsRate),
    NameOrder.CALLS,
  ),
  ERRORS,
  number("p50", "p50", "Half of the unary calls of the last minute had the head of their answer sooner.", (it) =>
    format.took(it.p50),
  ),
  number(
    "p99",
    "p99",
    "99 of 100 unary calls of the last minute had the head of their answer sooner.",
    (it) => format.took(it.p99),
    NameOrder.P99,
  ),
  number(
    "rtt",
    "RTT",
    "Round trip between this hub and the nearest session, by WebSocket ping.",
    (it) => format.took(it.rtt),
    NameOrder.RTT,
  ),
  number(
    "bytes",
    "Bytes/s",
    "Bytes of requests and answers a second, over the last minute.",
    (it) => format.bytes(it.requestBytesRate + it.responseBytesRate),
    NameOrder.BYTES,
  ),
  {
    ...number(
      "since",
      "Since",
      "How long it has been there; where it is offline, how long it has been gone.",
      (it) => format.age(it.since),
      NameOrder.SINCE,
    ),
    // What has changed lately is what one looks for.
    largestFirst: false,
    isAge: true,
  },
  RECENT,
];

/** The one of a link; by state, where it says none that can be ordered by. */
export function orderedBy(id: string): Column {
  return COLUMNS.find((column) => column.id === id && column.order !== undefined) ?? STATE;
}
