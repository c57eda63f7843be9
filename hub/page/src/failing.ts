// The names with the most errors now, wherever they are in the list.

import type { Name } from "./gen/hub/v1/names_pb.ts";
import { element, Parts, setText, type Part } from "./dom.ts";
import * as format from "./format.ts";
import { nameLink } from "./route.ts";

export class Failing {
  readonly root = element("div", { class: "failing", hidden: true });
  private readonly list = element("ul");
  private readonly parts = new Parts<Name>(this.list, (name) => name.name, failingName);

  constructor() {
    this.root.append(element("span", { class: "label" }, "Failing now"), this.list);
  }

  show(names: readonly Name[]): void {
    const failing = names.filter((name) => name.errorsRate > 0);
    this.root.hidden = failing.length === 0;
    this.parts.show(failing);
  }
}

function failingName(name: Name): Part<Name> {
  const told = element("span", { class: "bad" });
  const root = element("li", {}, element("a", { href: nameLink(name.name) }, name.name), " ", told);
  return {
    root,
    update(now) {
      const share = format.percent(now.errorsRate, now.callsRate);
      setText(told, `${format.rate(now.errorsRate)} errors/s, ${share}`);
    },
  };
}
