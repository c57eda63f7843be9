// What happens at all names.

import { element } from "./dom.ts";
import type { Route, TailQuery } from "./route.ts";
import { rewrite } from "./route.ts";
import { Tail } from "./tail.ts";
import type { View } from "./view.ts";

export class ActivityView implements View {
  readonly root: HTMLElement;
  private readonly tail: Tail;

  constructor(query: TailQuery) {
    this.tail = new Tail(element("h1", {}, "Activity"), undefined, query, (tail) => rewrite({ view: "activity", tail }));
    this.root = element("div", { class: "view page-view" }, this.tail.root);
  }

  title(): string {
    return "Activity";
  }

  follow(route: Route): boolean {
    if (route.view !== "activity") return false;
    this.tail.follow(route.tail);
    return true;
  }

  key(event: KeyboardEvent): boolean {
    if (event.key !== "p") return false;
    this.tail.pause();
    return true;
  }

  close(): void {
    this.tail.close();
  }
}
