// The list of names: who is there, what fails.

import { NameOrder, NameState, type ListNamesResponse } from "./gen/hub/v1/names_pb.ts";
import { Chips } from "./chips.ts";
import { orderedBy } from "./columns.ts";
import { element, setText } from "./dom.ts";
import { Failing } from "./failing.ts";
import * as format from "./format.ts";
import { Heads } from "./heads.ts";
import { listNames } from "./hub.ts";
import { Poll } from "./poll.ts";
import type { NamesQuery, Route } from "./route.ts";
import { nameLink, rewrite } from "./route.ts";
import { Rows, type Window } from "./rows.ts";
import { STATES } from "./states.ts";
import type { View } from "./view.ts";

const EVERY_MS = 1_000;
/** Somebody who types, or scrolls, is waited for. */
const PAUSE_MS = 80;
/** Names with the most errors, which are shown above all others. */
const FAILING = 5;

/** Where somebody was who comes back to the same list. */
let left = { hash: "", place: 0 };

export class NamesView implements View {
  readonly root: HTMLElement;
  private readonly headline = element("h1");
  private readonly failing = new Failing();
  private readonly chips: Chips;
  private readonly search: HTMLInputElement;
  private readonly empty = element("p", { class: "empty" });
  private readonly heads: Heads;
  private readonly rows: Rows;
  private readonly poll: Poll;
  private place = left.hash === location.hash ? left.place : 0;
  private soon = 0;
  private attention = 0;
  private hash = location.hash;

  constructor(private query: NamesQuery) {
    this.search = element("input", {
      type: "search",
      id: "search",
      placeholder: "Find a name",
      "aria-label": "Find a name",
      autocomplete: "off",
      spellcheck: "false",
      "aria-keyshortcuts": "/",
      oninput: () => this.ask({ filter: this.search.value }),
    });
    this.chips = new Chips((states) => this.ask({ states }));
    this.heads = new Heads((order, reverse) => this.ask({ order, reverse }));
    this.rows = new Rows(
      this.heads.root,
      (name) => (location.hash = nameLink(name)),
      () => this.askSoon(),
    );
    const find = element("div", { class: "find" }, this.search, element("kbd", { "aria-hidden": "true" }, "/"));
    const tools = element("div", { class: "tools" }, this.chips.root, find);
    this.root = element(
      "div",
      { class: "view names-view" },
      element("div", { class: "top" }, this.headline, this.failing.root),
      tools,
      this.rows.root,
      this.empty,
    );
    this.showQuery();
    this.poll = new Poll((signal) => this.refresh(signal), EVERY_MS);
  }

  title(): string {
    return this.attention > 0 ? `(${this.attention}) Names` : "Names";
  }

  follow(route: Route): boolean {
    if (route.view !== "names") return false;
    this.query = route.query;
    this.hash = location.hash;
    this.showQuery();
    this.again();
    return true;
  }

  key(event: KeyboardEvent): boolean {
    const steps: Record<string, number> = {
      j: 1,
      ArrowDown: 1,
      k: -1,
      ArrowUp: -1,
      PageDown: this.rows.page(),
      PageUp: -this.rows.page(),
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key in steps) {
      this.rows.move(steps[event.key]!);
      return true;
    }
    if (event.key === "/") {
      this.search.select();
      this.search.focus();
      return true;
    }
    return event.key === "Escape" && this.escape();
  }

  close(): void {
    left = { hash: this.hash, place: this.rows.place };
    clearTimeout(this.soon);
    this.poll.stop();
  }

  /** Lets go of the search, then of what it has found. */
  private escape(): boolean {
    if (document.activeElement === this.search && this.search.value === "") {
      this.search.blur();
    } else if (this.query.filter !== "" || this.query.states.length > 0) {
      this.ask({ filter: "", states: [] });
      this.showQuery();
    } else {
      (document.activeElement as HTMLElement | null)?.blur();
    }
    return true;
  }

  /** Shows another part of the list, and says so in the address. */
  private ask(change: Partial<NamesQuery>): void {
    this.query = { ...this.query, ...change };
    rewrite({ view: "names", query: this.query });
    this.hash = location.hash;
    this.showQuery();
    this.again();
  }

  private again(): void {
    this.rows.forget();
    this.askSoon();
  }

  private askSoon(): void {
    clearTimeout(this.soon);
    this.soon = window.setTimeout(() => this.poll.now(), PAUSE_MS);
  }

  private showQuery(): void {
    if (this.search.value !== this.query.filter) this.search.value = this.query.filter;
    this.chips.mark(this.query.states);
    this.heads.mark(this.query);
  }

  private async refresh(signal: AbortSignal): Promise<void> {
    const { query } = this;
    const window = this.rows.window();
    const [list, failing] = await Promise.all([
      listNames(request(query, window), signal),
      listNames({ order: NameOrder.ERRORS, descending: true, limit: FAILING }, signal),
    ]);
    if (signal.aborted) return;
    this.failing.show(failing.names);
    this.showCounts(list);
    this.rows.show(window, list);
    if (this.place > 0) {
      this.rows.place = this.place;
      this.place = 0;
    }
  }

  private showCounts(list: ListNamesResponse): void {
    const of = (state: NameState) => list.states.find((it) => it.state === state)?.names ?? 0;
    const all = list.states.reduce((sum, it) => sum + it.names, 0);
    const bad = all - of(NameState.ONLINE);
    this.chips.show(all, of);
    this.headline.replaceChildren(...headline(this.query, all, bad));
    this.attention = bad;
    document.title = `${this.title()} · grpc-hub`;
    setText(this.empty, list.total > 0 ? "" : nothing(this.query, all));
    this.empty.hidden = list.total > 0;
    this.rows.root.hidden = list.total === 0;
  }
}

function request(query: NamesQuery, { offset, limit }: Window) {
  const column = orderedBy(query.order);
  const states = STATES.filter((it) => query.states.includes(it.id)).map((it) => it.state);
  const isLargestFirst = Boolean(column.largestFirst) !== query.reverse;
  const descending = isLargestFirst !== Boolean(column.isAge);
  // No name has capitals or spaces.
  const filter = query.filter.toLowerCase().trim();
  return { filter, states, order: column.order, descending, offset, limit: Math.min(500, limit) };
}

/** The first thing that is read. */
function headline(query: NamesQuery, all: number, bad: number): (string | Node)[] {
  const number = element("span", { class: "bad" }, format.count(bad));
  if (query.filter !== "") {
    const found = `${format.things(all, "name")} with “${query.filter}”`;
    return bad > 0 ? [`${found}, `, number, " not online"] : [found];
  }
  if (all === 0) return ["No names yet"];
  if (bad === 0) return [all === 1 ? "The one name is online" : `All ${format.count(all)} names are online`];
  return [number, ` of ${format.things(all, "name")} ${bad === 1 ? "is" : "are"} not online`];
}

function nothing(query: NamesQuery, all: number): string {
  if (query.filter !== "" || all > 0) return "No name is like that. Escape shows all.";
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return `Nobody has registered. An agent does: agent --name testserver --hub-uri ${scheme}://HUB/ws --upstream 127.0.0.1:50051`;
}
