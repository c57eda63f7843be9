// The heads of the columns of the list of names, which order it.

import { COLUMNS, orderedBy, type Column } from "./columns.ts";
import { element, setAttribute } from "./dom.ts";
import type { NamesQuery } from "./route.ts";

export class Heads {
  readonly root: HTMLElement;
  private readonly cells: { column: Column; cell: HTMLElement }[];
  private by = "";
  private isReversed = false;

  /** `ask` is called with the column that is pressed, and whether it is to be the other way round. */
  constructor(private readonly ask: (order: string, reverse: boolean) => void) {
    this.cells = COLUMNS.map((column) => ({ column, cell: this.head(column) }));
    const cells = this.cells.map((it) => it.cell);
    this.root = element("thead", {}, element("tr", { "aria-rowindex": 1 }, ...cells));
  }

  /** Says by what the list is ordered, to readers too. */
  mark(query: NamesQuery): void {
    this.by = orderedBy(query.order).id;
    this.isReversed = query.reverse;
    for (const { column, cell } of this.cells) {
      const isDown = Boolean(column.largestFirst) !== query.reverse;
      setAttribute(cell, "aria-sort", column.id === this.by && (isDown ? "descending" : "ascending"));
    }
  }

  private head(column: Column): HTMLElement {
    const cell = element("th", { scope: "col", class: `of-${column.id}`, title: column.hint });
    const press = () => this.press(column);
    cell.append(
      column.order === undefined
        ? element("span", {}, column.title)
        : element("button", { type: "button", onclick: press }, column.title),
    );
    return cell;
  }

  /** Once more turns it round. */
  private press(column: Column): void {
    this.ask(column.id === "state" ? "" : column.id, this.by === column.id && !this.isReversed);
  }
}
