// One name: its numbers, who serves it, how its calls end, and what happens now.

import type { GetNameResponse, Name } from "./gen/hub/v1/names_pb.ts";
import { Agents } from "./agents.ts";
import { Chart } from "./chart.ts";
import { element, setText } from "./dom.ts";
import * as format from "./format.ts";
import { getName, refusal } from "./hub.ts";
import { Methods } from "./methods.ts";
import { Poll } from "./poll.ts";
import type { Route, TailQuery } from "./route.ts";
import { rewrite } from "./route.ts";
import { shape, stateOf } from "./states.ts";
import { Tail } from "./tail.ts";
import { Tiles } from "./tiles.ts";
import type { View } from "./view.ts";

const EVERY_MS = 1_000;

export class NameView implements View {
  readonly root: HTMLElement;
  private readonly mark = shape();
  private readonly word = element("b");
  private readonly sentence = element("span");
  private readonly state = element("p", { class: "state-line" }, this.mark.root, this.word, this.sentence);
  private readonly tiles = new Tiles<Name>([
    { label: "Calls/s", value: (it) => format.rate(it.callsRate), note: (it) => `${format.count(it.calls)} in all` },
    {
      label: "Errors/s",
      value: (it) => format.rate(it.errorsRate),
      note: (it) => `${format.count(it.errors)} in all${it.refusals > 0n ? `, ${format.count(it.refusals)} by the hub` : ""}`,
      isBad: (it) => it.errorsRate > 0,
    },
    { label: "Running", value: (it) => format.count(it.callsInFlight), note: (it) => format.things(it.lanes, "lane") },
    { label: "p50", value: (it) => format.took(it.p50), note: () => "to its answer" },
    { label: "p99", value: (it) => format.took(it.p99), note: () => "of the last minute" },
    { label: "RTT", value: (it) => format.took(it.rtt), note: () => "hub to agent" },
    {
      label: "Up",
      value: (it) => `${format.bytes(it.requestBytesRate)}/s`,
      note: (it) => `${format.bytes(it.requestBytes)} in all`,
    },
    {
      label: "Down",
      value: (it) => `${format.bytes(it.responseBytesRate)}/s`,
      note: (it) => `${format.bytes(it.responseBytes)} in all`,
    },
  ]);
  private readonly chart = new Chart();
  private readonly agents = new Agents();
  private readonly methods = new Methods();
  private readonly body: HTMLElement;
  private readonly absent = element("p", { class: "empty", hidden: true });
  private readonly tail: Tail;
  private readonly poll: Poll;

  constructor(
    private readonly name: string,
    tail: TailQuery,
  ) {
    this.tail = new Tail(element("h2", {}, "What happens now"), name, tail, (now) => rewrite({ view: "name", name, tail: now }));
    this.body = element(
      "div",
      { class: "sections", hidden: true },
      this.state,
      this.tiles.root,
      this.chart.root,
      this.agents.root,
      this.methods.root,
    );
    const back = element("a", { href: "#/", class: "back" }, "← Names");
    this.root = element(
      "div",
      { class: "view page-view" },
      element("div", { class: "top" }, back, element("h1", { class: "name" }, name)),
      this.absent,
      this.body,
      this.tail.root,
    );
    this.poll = new Poll((signal) => this.refresh(signal), EVERY_MS);
  }

  title(): string {
    return this.name;
  }

  follow(route: Route): boolean {
    if (route.view !== "name" || route.name !== this.name) return false;
    this.tail.follow(route.tail);
    return true;
  }

  key(event: KeyboardEvent): boolean {
    if (event.key === "p") {
      this.tail.pause();
    } else if (event.key === "Escape") {
      // Back to the list as it was left, if that is where somebody has come from.
      if (history.state === "from-list") history.back();
      else location.hash = "#/";
    } else {
      return false;
    }
    return true;
  }

  close(): void {
    this.poll.stop();
    this.tail.close();
    this.chart.close();
  }

  private async refresh(signal: AbortSignal): Promise<void> {
    try {
      const told = await getName({ name: this.name }, signal);
      if (!signal.aborted) this.show(told);
    } catch (error) {
      const no = refusal(error);
      if (no === undefined || signal.aborted) throw error;
      setText(this.absent, `The hub does not show it: ${no}`);
      this.absent.hidden = false;
      this.body.hidden = true;
    }
  }

  private show(told: GetNameResponse): void {
    const { name } = told;
    if (!name) return;
    this.absent.hidden = true;
    this.body.hidden = false;
    const state = stateOf(name.state);
    this.mark.show(state);
    this.state.className = `state-line is-${state.id}`;
    setText(this.word, state.word);
    setText(this.sentence, `${state.sentence} ${state.id === "offline" ? "Gone" : "There"} for ${format.age(name.since)}.`);
    this.tiles.show(name);
    this.chart.show(name.recent, told.step);
    this.agents.show(told.agents, name.agents);
    this.methods.show(told.methods);
  }
}
