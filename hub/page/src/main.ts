// The page of a hub: its frame, and the view that the address asks for.

import { ActivityView } from "./activity.ts";
import { element, setAttribute } from "./dom.ts";
import { Help } from "./help.ts";
import { HubView } from "./hub_view.ts";
import { NameView } from "./name.ts";
import { NamesView } from "./names.ts";
import { Notices } from "./notices.ts";
import type { Route } from "./route.ts";
import { parse } from "./route.ts";
import { next as nextTheme, startTheme, themeButton } from "./theme.ts";
import type { View } from "./view.ts";

const PLACES = [
  { hash: "#/", views: ["names", "name"], word: "Names" },
  { hash: "#/activity", views: ["activity"], word: "Activity" },
  { hash: "#/hub", views: ["hub"], word: "Hub" },
];

class Page {
  private readonly main = element("main", { id: "main", tabindex: -1 });
  private readonly help = new Help();
  private readonly links = PLACES.map((place) => ({ place, link: element("a", { href: place.hash }, place.word) }));
  private view?: View;
  private shown = "";

  start(): void {
    const brand = element("a", { href: "#/", class: "brand" }, "grpc-hub");
    const nav = element("nav", { "aria-label": "Views" }, ...this.links.map((it) => it.link));
    const help = element(
      "button",
      { type: "button", class: "plain keys", title: "Keys (?)", "aria-label": "Keys", onclick: () => this.help.toggle() },
      "?",
    );
    const bar = element("header", { class: "bar" }, brand, nav, element("div", { class: "side" }, themeButton(), help));
    document.body.append(bar, new Notices().root, this.main, this.help.root);
    window.addEventListener("hashchange", () => this.go());
    document.addEventListener("keydown", (event) => this.key(event));
    this.go();
  }

  private go(): void {
    const route = parse(location.hash);
    // Whoever opens a name from the list goes back to the list as it was.
    if (route.view === "name" && this.shown === "names" && history.state === null) {
      history.replaceState("from-list", "");
    }
    if (!this.view?.follow(route)) {
      this.view?.close();
      this.view = make(route);
      this.main.replaceChildren(this.view.root);
      this.main.scrollTop = 0;
      if (this.shown !== "") this.main.focus({ preventScroll: true });
    }
    this.shown = route.view;
    document.title = `${this.view.title()} · grpc-hub`;
    for (const { place, link } of this.links) {
      setAttribute(link, "aria-current", place.views.includes(route.view) && "page");
    }
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.root.open) return;
    const isTyping = event.target instanceof HTMLInputElement && event.target.type !== "checkbox";
    // In a field only these are not letters of it.
    if (isTyping && !["Escape", "ArrowDown", "ArrowUp"].includes(event.key)) return;
    const place = PLACES[Number(event.key) - 1];
    if (event.key === "?") this.help.toggle();
    else if (event.key === "t") nextTheme();
    else if (place) location.hash = place.hash;
    else if (!this.view?.key(event)) return;
    event.preventDefault();
  }
}

function make(route: Route): View {
  switch (route.view) {
    case "names":
      return new NamesView(route.query);
    case "name":
      return new NameView(route.name, route.tail);
    case "hub":
      return new HubView();
    case "activity":
      return new ActivityView(route.tail);
  }
}

startTheme();
document.addEventListener("DOMContentLoaded", () => new Page().start());
