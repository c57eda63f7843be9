// Which view is shown, as the address says it: each has a link of its own, with its filters and its order.

/** What the list of names shows. */
export interface NamesQuery {
  filter: string;
  /** Ids of states, as in `states.ts`. */
  states: string[];
  /** Id of the column it is ordered by; empty for the worst first. */
  order: string;
  /** The other way round than that column is first ordered. */
  reverse: boolean;
}

/** What a tail shows. */
export interface TailQuery {
  onlyErrors: boolean;
  /** What has to occur in a line. */
  text: string;
  /** Ids of kinds, as in `kinds.ts`; none is all. */
  kinds: string[];
}

export type Route =
  | { view: "names"; query: NamesQuery }
  | { view: "name"; name: string; tail: TailQuery }
  | { view: "hub" }
  | { view: "activity"; tail: TailQuery };

/** The view that a hash asks for. Whatever it does not know is left out. */
export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#/, "").split("?", 2);
  const asked = new URLSearchParams(search);
  const list = (key: string) => (asked.get(key) ?? "").split(",").filter((id) => id !== "");
  const tail = {
    onlyErrors: asked.has("errors"),
    text: asked.get("text") ?? "",
    kinds: list("kinds"),
  };
  const [, view, name] = path.split("/");
  if (view === "name" && name) return { view, name: decoded(name), tail };
  if (view === "hub") return { view };
  if (view === "activity") return { view, tail };
  const query = {
    filter: asked.get("filter") ?? "",
    states: list("state"),
    order: asked.get("order") ?? "",
    reverse: asked.has("reverse"),
  };
  return { view: "names", query };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The hash that asks for a view. */
export function link(route: Route): string {
  const asked: [string, string][] = [];
  const ask = (key: string, value: string | boolean) => {
    if (value) asked.push([key, value === true ? "" : value]);
  };
  let path = `#/${route.view}`;
  if (route.view === "names") {
    path = "#/";
    ask("filter", route.query.filter);
    ask("state", route.query.states.join(","));
    ask("order", route.query.order);
    ask("reverse", route.query.reverse);
  }
  if (route.view === "name") path += `/${encodeURIComponent(route.name)}`;
  if (route.view === "name" || route.view === "activity") {
    ask("errors", route.tail.onlyErrors);
    ask("text", route.tail.text);
    ask("kinds", route.tail.kinds.join(","));
  }
  const search = asked.map(([key, value]) => (value ? `${key}=${encodeURIComponent(value)}` : key));
  return search.length > 0 ? `${path}?${search.join("&")}` : path;
}

export const ALL_NAMES: NamesQuery = { filter: "", states: [], order: "", reverse: false };
export const WHOLE_TAIL: TailQuery = { onlyErrors: false, text: "", kinds: [] };

/** The link to a name. */
export function nameLink(name: string): string {
  return link({ view: "name", name, tail: WHOLE_TAIL });
}

/** Writes what is shown into the address, without a step in the history: filters change with each letter. */
export function rewrite(route: Route): void {
  history.replaceState(history.state, "", link(route));
}
