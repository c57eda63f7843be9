// What stands above every view: that the hub is not reached, and what is the matter with it.

import { element, Parts, setText, type Part } from "./dom.ts";
import * as format from "./format.ts";
import { troubles, type Trouble } from "./health.ts";
import { getHub } from "./hub.ts";
import { onReach, Poll, type Reach } from "./poll.ts";

const EVERY_MS = 5_000;

export class Notices {
  readonly root: HTMLElement;
  private readonly lost = element("p", { class: "lost", role: "alert", hidden: true });
  private readonly refused = element("p", { class: "trouble", role: "status", hidden: true });
  private readonly list = element("ul", { class: "troubles" });
  private readonly parts = new Parts<Trouble>(this.list, (trouble) => trouble.id, troubleItem);
  private timer = 0;
  private version = "";

  constructor() {
    this.root = element("div", { class: "notices" }, this.lost, this.refused, this.list);
    onReach((reach) => this.reached(reach));
    new Poll((signal) => this.refresh(signal), EVERY_MS);
  }

  private async refresh(signal: AbortSignal): Promise<void> {
    const hub = await getHub({}, signal);
    const found = troubles(hub);
    if (this.version !== "" && this.version !== hub.version) {
      found.unshift({ id: "version", text: `The hub is ${hub.version} now: load this page anew.` });
    } else {
      this.version = hub.version;
    }
    this.parts.show(found);
  }

  private reached({ lostSince, why }: Reach): void {
    clearInterval(this.timer);
    document.documentElement.classList.toggle("is-lost", lostSince !== undefined);
    this.lost.hidden = lostSince === undefined;
    this.refused.hidden = lostSince !== undefined || why === undefined;
    setText(this.refused, why === undefined ? "" : `The hub answers: ${why}`);
    if (!lostSince) return;
    // Readers are told once, and not each second.
    const ago = element("span", { "aria-live": "off" });
    const since = `The hub has not answered since ${format.time(lostSince)}`;
    this.lost.replaceChildren(element("b", {}, since), ago, ". What you see is from then. Trying again.");
    this.lost.title = why ?? "";
    const tick = () => setText(ago, ` (${format.span(Date.now() - lostSince.getTime())})`);
    tick();
    this.timer = window.setInterval(tick, 1_000);
  }
}

function troubleItem(): Part<Trouble> {
  const link = element("a", { href: "#/hub" });
  return { root: element("li", { class: "trouble" }, link), update: (trouble) => setText(link, trouble.text) };
}
