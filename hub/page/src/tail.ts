// What happens, as it happens: the last lines, which can be filtered and stopped.

import type { ActivityEvent } from "./gen/hub/v1/activity_pb.ts";
import { EventType } from "./gen/hub/v1/activity_pb.ts";
import { element, setAttribute, setText, type Part } from "./dom.ts";
import * as format from "./format.ts";
import { gap, KINDS, lineOf, type Line } from "./kinds.ts";
import type { TailQuery } from "./route.ts";
import { nameLink } from "./route.ts";
import { Stream } from "./stream.ts";
import { heads, row, Table, type Head } from "./table.ts";

/** Lines that are kept, and as many of troubles beside them: a flood of what went well does not wash those away. */
const KEPT = 300;
/** Lines are shown so often at most, however fast they come. */
const EVERY_MS = 250;

export class Tail {
  readonly root: HTMLElement;
  private readonly all: Line[] = [];
  private readonly bad: Line[] = [];
  private readonly status = element("span", { class: "status", role: "status" });
  private readonly pauseButton: HTMLButtonElement;
  private readonly onlyErrors: HTMLInputElement;
  private readonly text: HTMLInputElement;
  private readonly kinds: { id: string; box: HTMLInputElement }[];
  private readonly table: Table<Line>;
  private readonly stream: Stream;
  private keys = 0;
  private missed = 0n;
  private isPaused = false;
  private untold = 0;
  private timer = 0;
  private isThere = false;

  /** Of one name, or of all. `asked` is called with what is asked for from now on. */
  constructor(
    title: HTMLElement,
    name: string | undefined,
    private query: TailQuery,
    private readonly asked: (query: TailQuery) => void,
  ) {
    const columns = heads(["Time", "What", ...(name === undefined ? ["Name"] : []), "Detail", "Result", "Took"]);
    const nothing = "Nothing has happened lately.";
    const make = (line: Line) => tailRow(line, columns);
    this.table = new Table("What has happened, the latest first", columns, nothing, (line) => String(line.key), make, "tail");
    const change = () => this.change();
    this.onlyErrors = element("input", { type: "checkbox", onchange: change });
    this.text = element("input", {
      type: "search",
      placeholder: name === undefined ? "Name, method or status" : "Method or status",
      "aria-label": "Only lines in which this occurs",
      oninput: change,
    });
    const told = KINDS.filter((kind) => name === undefined || !kind.isOfHub);
    this.kinds = told.map(({ id }) => ({ id, box: element("input", { type: "checkbox", onchange: change }) }));
    this.pauseButton = element("button", { type: "button", "aria-keyshortcuts": "p", onclick: () => this.pause() }, "Pause");
    this.root = element("section", { class: "tail-section" }, this.tools(title), this.table.root);
    this.showQuery();
    this.stream = new Stream(name, {
      event: (event, missed) => this.take(event, missed),
      changed: (state) => this.connection(state),
    });
  }

  /** What the address asks for. */
  follow(query: TailQuery): void {
    this.query = query;
    this.showQuery();
    this.render();
  }

  /** Stops the lines, or lets them go on. */
  pause(): void {
    this.isPaused = !this.isPaused;
    this.untold = 0;
    setText(this.pauseButton, this.isPaused ? "Go on" : "Pause");
    setAttribute(this.pauseButton, "aria-pressed", String(this.isPaused));
    this.render();
  }

  close(): void {
    clearTimeout(this.timer);
    this.stream.close();
  }

  private tools(title: HTMLElement): HTMLElement {
    const kinds = this.kinds.map(({ id, box }) => {
      const kind = KINDS.find((it) => it.id === id)!;
      return element("label", { class: "check" }, box, kind.word);
    });
    return element(
      "div",
      { class: "tools" },
      title,
      this.status,
      element("div", { class: "checks", role: "group", "aria-label": "Kinds of events" }, ...kinds),
      element("label", { class: "check" }, this.onlyErrors, "Only errors"),
      this.text,
      this.pauseButton,
    );
  }

  private showQuery(): void {
    const { onlyErrors, text, kinds } = this.query;
    this.onlyErrors.checked = onlyErrors;
    if (this.text.value !== text) this.text.value = text;
    for (const { id, box } of this.kinds) box.checked = kinds.length === 0 || kinds.includes(id);
  }

  private change(): void {
    const kinds = this.kinds.filter(({ box }) => box.checked).map(({ id }) => id);
    this.query = {
      onlyErrors: this.onlyErrors.checked,
      text: this.text.value,
      kinds: kinds.length === this.kinds.length ? [] : kinds,
    };
    this.asked(this.query);
    this.showQuery();
    this.render();
  }

  private take(event: ActivityEvent, missed: bigint): void {
    if (missed > 0n) {
      this.missed += missed;
      this.add(gap(this.keys++, `${format.things(missed, "event")} missed`));
    }
    this.add(lineOf(event, this.keys++));
  }

  private add(line: Line): void {
    push(this.all, line);
    if (line.isBad) push(this.bad, line);
    if (this.isPaused) this.untold++;
    if (!this.timer) {
      this.timer = window.setTimeout(() => {
        this.timer = 0;
        this.tell();
      }, EVERY_MS);
    }
  }

  /** What has come: only its number while lines are stopped. */
  private tell(): void {
    if (this.isPaused) this.showStatus();
    else this.render();
  }

  private render(): void {
    const kept = this.query.onlyErrors ? this.bad : this.all;
    const lines = kept.filter((line) => this.matches(line)).reverse();
    this.table.show(lines);
    this.showStatus();
  }

  private matches(line: Line): boolean {
    if (line.type === EventType.EVENT_TYPE_UNSPECIFIED) return true;
    const { kinds, text } = this.query;
    const isAsked = KINDS.some(
      (kind) => (kinds.length === 0 || kinds.includes(kind.id)) && kind.types.includes(line.type),
    );
    const words = `${line.name} ${line.what} ${line.detail} ${line.result}`.toLowerCase();
    return isAsked && words.includes(text.toLowerCase());
  }

  private connection(isThere: boolean): void {
    this.isThere = isThere;
    this.showStatus();
  }

  private showStatus(): void {
    const words = [this.isThere ? (this.isPaused ? "Paused" : "Live") : "Connecting…"];
    if (this.untold > 0) words.push(`${format.count(this.untold)} more since`);
    if (this.missed > 0n) words.push(`${format.count(this.missed)} missed`);
    setText(this.status, words.join(" · "));
    this.status.classList.toggle("live", this.isThere && !this.isPaused);
  }
}

function push(lines: Line[], line: Line): void {
  lines.push(line);
  if (lines.length > KEPT) lines.shift();
}

function tailRow(line: Line, columns: readonly Head[]): Part<Line> {
  const isGap = line.type === EventType.EVENT_TYPE_UNSPECIFIED;
  const { root, cells } = row(columns, line.isBad ? "is-bad" : isGap ? "is-gap" : undefined);
  const link = line.name === "" ? "" : element("a", { href: nameLink(line.name) }, line.name);
  const texts: Record<string, string | Node> = {
    Time: format.time(line.at),
    What: line.what,
    Name: link,
    Detail: line.detail,
    Result: line.result,
    Took: line.took,
  };
  columns.forEach(({ title }, at) => cells[at]!.append(texts[title]!));
  return { root, update: () => {} };
}
