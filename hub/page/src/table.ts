// Tables of a few rows, all of which are there.

import { element, Parts, type Part } from "./dom.ts";

/** A column: its title, and whether its values are numbers, which are read from the right. */
export interface Head {
  title: string;
  isNumber: boolean;
}

/** Columns from titles; those after the first list are of numbers. */
export function heads(texts: readonly string[], numbers: readonly string[] = [], more: readonly string[] = []): Head[] {
  const as = (isNumber: boolean) => (title: string) => ({ title, isNumber });
  return [...texts.map(as(false)), ...numbers.map(as(true)), ...more.map(as(false))];
}

/** A row with a cell for each column. */
export function row(columns: readonly Head[], of?: string) {
  const cells = columns.map(({ title, isNumber }) => element("td", { class: `${classOf(title)}${isNumber ? " number" : ""}` }));
  return { root: element("tr", { class: of }, ...cells), cells };
}

function classOf(title: string): string {
  return `of-${title.toLowerCase().replaceAll(" ", "-")}`;
}

/** A table, or a sentence where it would have no rows. */
export class Table<T> {
  readonly root: HTMLElement;
  private readonly frame: HTMLElement;
  private readonly empty: HTMLElement;
  private readonly parts: Parts<T>;

  constructor(
    caption: string,
    columns: readonly Head[],
    nothing: string,
    key: (item: T) => string,
    make: (item: T) => Part<T>,
    kind?: string,
  ) {
    const body = element("tbody");
    const titles = columns.map(({ title, isNumber }) =>
      element("th", { scope: "col", class: `${classOf(title)}${isNumber ? " number" : ""}` }, title),
    );
    const head = element("thead", {}, element("tr", {}, ...titles));
    const table = element("table", { class: kind }, element("caption", { class: "unseen" }, caption), head, body);
    // It scrolls sideways where the screen is narrow, by keyboard too.
    this.frame = element("div", { class: "wide", tabindex: 0, role: "region", "aria-label": caption }, table);
    this.empty = element("p", { class: "empty" }, nothing);
    this.root = element("div", {}, this.frame, this.empty);
    this.parts = new Parts(body, key, make);
    this.show([]);
  }

  show(items: readonly T[]): void {
    this.parts.show(items);
    this.frame.hidden = items.length === 0;
    this.empty.hidden = items.length > 0;
  }
}

/** A part of a view, with its title. */
export function section(title: HTMLElement | string, ...content: HTMLElement[]): HTMLElement {
  return element("section", {}, typeof title === "string" ? element("h2", {}, title) : title, ...content);
}
