// The keys, in a dialog.

import { element } from "./dom.ts";

const KEYS: [string[], string][] = [
  [["/"], "Find a name"],
  [["j", "k"], "Next row, row before (arrows do, too)"],
  [["Enter"], "Open the row"],
  [["Esc"], "Back; in the list: show all"],
  [["1", "2", "3"], "Names, activity, hub"],
  [["p"], "Stop the lines that come, and let them go on"],
  [["t"], "Light, dark, or as the system is"],
  [["?"], "This help"],
];

export class Help {
  readonly root: HTMLDialogElement;

  constructor() {
    const rows = KEYS.map(([keys, what]) => {
      const caps = keys.flatMap((key) => [element("kbd", {}, key), " "]);
      return element("div", {}, element("dt", {}, ...caps), element("dd", {}, what));
    });
    const close = element("button", { type: "button", onclick: () => this.root.close() }, "Close");
    this.root = element(
      "dialog",
      { class: "help", "aria-labelledby": "help-title" },
      element("h2", { id: "help-title" }, "Keys"),
      element("dl", {}, ...rows),
      element("p", { class: "note" }, "All numbers are of callers of this hub, and rates of the last minute."),
      close,
    );
  }

  toggle(): void {
    if (this.root.open) this.root.close();
    else this.root.showModal();
  }
}
