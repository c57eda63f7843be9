// Counts of names by state, each of which is a filter.

import type { NameState } from "./gen/hub/v1/names_pb.ts";
import { element, setAttribute, setText } from "./dom.ts";
import * as format from "./format.ts";
import { shape, STATES, type State } from "./states.ts";

export class Chips {
  readonly root = element("div", { class: "chips", role: "group", "aria-label": "Names by state" });
  private readonly all: Chip;
  private readonly one: { state: State; chip: Chip }[];
  private asked: string[] = [];

  constructor(ask: (states: string[]) => void) {
    this.all = makeChip("All", undefined, () => ask([]));
    this.one = STATES.map((state) => {
      const isAlone = () => this.asked.length === 1 && this.asked[0] === state.id;
      return { state, chip: makeChip(state.word, state, () => ask(isAlone() ? [] : [state.id])) };
    });
    this.root.append(this.all.root, ...this.one.map((it) => it.chip.root));
  }

  mark(asked: string[]): void {
    this.asked = asked;
    setAttribute(this.all.root, "aria-pressed", String(asked.length === 0));
    for (const { state, chip } of this.one) {
      setAttribute(chip.root, "aria-pressed", String(asked.includes(state.id)));
    }
  }

  show(all: number, of: (state: NameState) => number): void {
    this.all.show(all);
    for (const { state, chip } of this.one) chip.show(of(state.state));
  }
}

interface Chip {
  root: HTMLButtonElement;
  show(count: number): void;
}

function makeChip(word: string, state: State | undefined, press: () => void): Chip {
  const number = element("b", {}, format.NONE);
  const root = element("button", { type: "button", class: "chip", onclick: press });
  if (state) {
    const mark = shape();
    mark.show(state);
    root.append(mark.root);
    root.title = state.sentence;
  }
  root.append(number, " ", element("span", {}, word));
  return {
    root,
    show(count) {
      setText(number, format.count(count));
      root.classList.toggle("nothing", count === 0);
    },
  };
}
