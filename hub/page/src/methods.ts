// How the calls of a name end, by method: where it says why something fails.

import type { Method, StatusCount } from "./gen/hub/v1/names_pb.ts";
import { element, Parts, setText, type Part } from "./dom.ts";
import * as format from "./format.ts";
import { isFault } from "./kinds.ts";
import { heads, row, section, Table } from "./table.ts";

const HEADS = heads(["Method"], ["Calls", "Errors", "Mean time"], ["How they ended"]);

export class Methods {
  private readonly table = new Table<Method>(
    "Calls by method",
    HEADS,
    "Nobody has called it yet.",
    (method) => method.method,
    methodRow,
    "methods",
  );
  readonly root = section(
    element("h2", {}, "Methods", element("span", { class: "note" }, "since the name came")),
    this.table.root,
  );

  show(methods: readonly Method[]): void {
    this.table.show(methods);
  }
}

function methodRow(): Part<Method> {
  const { root, cells } = row(HEADS);
  const list = element("ul", { class: "statuses" });
  cells.at(-1)!.append(list);
  const statuses = new Parts<StatusCount>(list, (it) => it.status, statusPart);
  return {
    root,
    update(method) {
      const all = sum(method.statuses);
      const bad = sum(method.statuses.filter((it) => isFault(it.status)));
      const isKnown = method.time && all > 0;
      const texts = [
        method.method || "All others",
        format.count(all),
        bad > 0 ? `${format.count(bad)} (${format.percent(bad, all)})` : "0",
        isKnown ? format.tookMs(format.milliseconds(method.time!) / all) : format.NONE,
      ];
      texts.forEach((text, at) => setText(cells[at]!, text));
      cells[2]!.classList.toggle("bad", bad > 0);
      cells[2]!.classList.toggle("nothing", bad === 0);
      statuses.show([...method.statuses].sort((a, b) => Number(b.calls - a.calls)));
    },
  };
}

function sum(statuses: readonly StatusCount[]): number {
  return statuses.reduce((all, it) => all + Number(it.calls), 0);
}

function statusPart(status: StatusCount): Part<StatusCount> {
  const number = element("b");
  const root = element("li", { class: isFault(status.status) ? "bad" : undefined }, `${status.status} `, number);
  return { root, update: (now) => setText(number, format.count(now.calls)) };
}
