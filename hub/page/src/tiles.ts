// Numbers in a row, each with what it is and what belongs to it.

import { element, setText } from "./dom.ts";

export interface Tile<T> {
  label: string;
  value(of: T): string;
  note?(of: T): string;
  isBad?(of: T): boolean;
}

export class Tiles<T> {
  readonly root = element("dl", { class: "tiles" });
  private readonly shows: ((of: T) => void)[];

  constructor(tiles: Tile<T>[]) {
    this.shows = tiles.map((tile) => {
      const value = element("dd", { class: "value" });
      const note = element("dd", { class: "note" });
      this.root.append(element("div", { class: "tile" }, element("dt", {}, tile.label), value, note));
      return (of) => {
        setText(value, tile.value(of));
        setText(note, tile.note?.(of) ?? "");
        value.classList.toggle("bad", tile.isBad?.(of) ?? false);
      };
    });
  }

  show(of: T): void {
    for (const show of this.shows) show(of);
  }
}
