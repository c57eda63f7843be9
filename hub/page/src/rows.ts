// A table of which only the rows in view exist, however many there are: ten thousand names cost what forty do.

import type { ListNamesResponse, Name } from "./gen/hub/v1/names_pb.ts";
import { COLUMNS } from "./columns.ts";
import { element, setAttribute } from "./dom.ts";
import { milliseconds } from "./format.ts";

/** Rows that are made above and below those in view, so that a turn of the wheel finds them. */
const BEYOND = 8;
/** Rows of which something is remembered. Whoever has scrolled past more than these sees blanks for a moment. */
const REMEMBERED = 2_000;
/** Rows do not change places between the press of a button and its release, which is mostly sooner. */
const PRESS_MS = 500;

interface Row {
  root: HTMLTableRowElement;
  link: HTMLAnchorElement;
  show(index: number, name: Name | undefined, stepMs: number, isSelected: boolean): void;
}

/** A part of the list: what the hub is asked for. */
export interface Window {
  offset: number;
  limit: number;
}

export class Rows {
  /** What scrolls. */
  readonly root: HTMLElement;
  private readonly body = element("tbody");
  private readonly table: HTMLTableElement;
  private readonly above = spacer();
  private readonly below = spacer();
  private readonly pool: Row[] = [];
  private names = new Map<number, Name>();
  private total = 0;
  private stepMs = 5_000;
  private first = 0;
  private selected = -1;
  private selectedName?: string;
  private pressedAt = -PRESS_MS;

  /** `open` is called with the name of a row that is clicked, `wanted` when rows are seen that are not known. */
  constructor(
    head: HTMLElement,
    private readonly open: (name: string) => void,
    private readonly wanted: () => void,
  ) {
    const caption = element("caption", { class: "unseen" }, "Names and what they do now");
    this.table = element("table", { class: "names" }, caption, head, this.body);
    this.body.append(this.above.row, this.below.row);
    this.root = element(
      "div",
      {
        class: "scroll",
        onscroll: () => this.scrolled(),
        onfocusin: (event: FocusEvent) => this.focused(event),
        onpointerdown: () => (this.pressedAt = performance.now()),
        onclick: (event: MouseEvent) => this.clicked(event),
      },
      this.table,
    );
    new ResizeObserver(() => this.render()).observe(this.root);
  }

  /** The rows in view, and some around them. */
  window(): Window {
    const height = this.root.clientHeight || window.innerHeight;
    const row = this.rowHeight();
    const first = Math.floor(this.root.scrollTop / row) - BEYOND;
    const limit = Math.ceil(height / row) + 2 * BEYOND;
    return { offset: Math.max(0, first), limit };
  }

  /** Shows what the hub has answered. */
  show(asked: Window, { names, total, step }: ListNamesResponse): void {
    if (step) this.stepMs = milliseconds(step);
    if (this.names.size > REMEMBERED) this.names.clear();
    names.forEach((name, at) => this.names.set(asked.offset + at, name));
    for (let at = asked.offset + names.length; at < asked.offset + asked.limit; at++) {
      this.names.delete(at);
    }
    this.total = total;
    if (performance.now() - this.pressedAt > PRESS_MS) this.render();
  }

  /** Another list: nothing is known of it. */
  forget(): void {
    this.names.clear();
    this.selected = -1;
    this.selectedName = undefined;
    this.root.scrollTop = 0;
  }

  /** Goes so many rows down, or up, and has the keyboard there. */
  move(by: number): void {
    if (this.total === 0) return;
    const top = Math.ceil(this.root.scrollTop / this.rowHeight());
    const from = this.selected < 0 ? top - Math.sign(by) : this.selected;
    this.selected = Math.min(this.total - 1, Math.max(0, from + by));
    this.selectedName = this.names.get(this.selected)?.name;
    this.reveal(this.selected);
    this.render();
    this.rowAt(this.selected)?.link.focus({ preventScroll: true });
    if (!this.selectedName) this.wanted();
  }

  /** How many rows fit. */
  page(): number {
    return Math.max(1, Math.floor(this.root.clientHeight / this.rowHeight()) - 2);
  }

  /** The place that somebody comes back to. */
  get place(): number {
    return this.root.scrollTop;
  }

  set place(top: number) {
    this.root.scrollTop = top;
    this.render();
  }

  private rowHeight(): number {
    return Number.parseFloat(getComputedStyle(this.root).getPropertyValue("--row")) || 36;
  }

  private reveal(index: number): void {
    const row = this.rowHeight();
    const head = this.table.tHead?.offsetHeight ?? 0;
    const [top, bottom] = [index * row, (index + 1) * row + head];
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    const height = this.root.clientHeight;
    if (bottom > this.root.scrollTop + height) this.root.scrollTop = bottom - height;
  }

  private scrolled(): void {
    this.render();
    const { offset, limit } = this.window();
    for (let at = offset; at < Math.min(offset + limit, this.total); at++) {
      if (!this.names.has(at)) {
        this.wanted();
        return;
      }
    }
  }

  private focused(event: FocusEvent): void {
    const at = this.pool.findIndex((row) => row.link === event.target);
    if (at < 0) return;
    this.selected = this.first + at;
    this.selectedName = this.names.get(this.selected)?.name;
    this.mark();
  }

  private clicked(event: MouseEvent): void {
    this.pressedAt = -PRESS_MS;
    const target = event.target as Element;
    // Links do it themselves, and whoever marks text to copy it goes nowhere.
    if (target.closest("a, button") || String(getSelection()) !== "") return;
    const at = this.pool.findIndex((row) => row.root.contains(target));
    const name = at < 0 ? undefined : this.names.get(this.first + at);
    if (name) this.open(name.name);
  }

  private render(): void {
    const { offset, limit } = this.window();
    const hadFocus = this.pool.some((row) => row.link === document.activeElement);
    const count = Math.max(0, Math.min(limit, this.total - offset));
    this.first = Math.max(0, Math.min(offset, this.total - count));
    this.follow();
    this.make(count);
    const row = this.rowHeight();
    this.above.height(this.first * row);
    this.below.height(Math.max(0, this.total - this.first - count) * row);
    setAttribute(this.table, "aria-rowcount", this.total + 1);
    this.pool.forEach((part, at) => {
      const index = this.first + at;
      part.show(index, this.names.get(index), this.stepMs, index === this.selected);
    });
    if (hadFocus) this.rowAt(this.selected)?.link.focus({ preventScroll: true });
  }

  /** Where the selected name has gone, if it is still among those in view. */
  private follow(): void {
    // It was not known yet when it was selected.
    this.selectedName ??= this.names.get(this.selected)?.name;
    if (this.selectedName === undefined) return;
    if (this.names.get(this.selected)?.name === this.selectedName) return;
    const { offset, limit } = this.window();
    for (let at = offset; at < offset + limit; at++) {
      if (this.names.get(at)?.name === this.selectedName) {
        this.selected = at;
        return;
      }
    }
  }

  private mark(): void {
    this.pool.forEach((row, at) => row.root.classList.toggle("selected", this.first + at === this.selected));
  }

  private rowAt(index: number): Row | undefined {
    return this.pool[index - this.first];
  }

  private make(count: number): void {
    while (this.pool.length < count) {
      const row = makeRow();
      this.body.insertBefore(row.root, this.below.row);
      this.pool.push(row);
    }
    for (const row of this.pool.splice(count)) {
      row.root.remove();
    }
  }
}

function makeRow(): Row {
  const root = element("tr");
  const shows = COLUMNS.map((column) => {
    const cell = element(column.id === "name" ? "th" : "td", { class: `of-${column.id}` });
    if (column.id === "name") cell.setAttribute("scope", "row");
    root.append(cell);
    return column.fill(cell);
  });
  const link = root.querySelector("a")!;
  link.tabIndex = 0;
  return {
    root,
    link,
    show(index, name, stepMs, isSelected) {
      setAttribute(root, "aria-rowindex", index + 2);
      root.classList.toggle("selected", isSelected);
      root.classList.toggle("blank", !name);
      if (name) shows.forEach((show) => show(name, stepMs));
      // It leads nowhere, and yet can have the focus until it does.
      else link.removeAttribute("href");
    },
  };
}

/** Stands for the rows that are not there. */
function spacer() {
  const cell = element("td");
  const row = element("tr", { class: "spacer", "aria-hidden": "true" }, cell);
  return {
    row,
    height(pixels: number) {
      cell.style.height = `${pixels}px`;
      row.hidden = pixels === 0;
    },
  };
}
