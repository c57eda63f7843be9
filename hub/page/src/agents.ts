// Who serves a name.

import type { Client } from "./gen/hub/v1/hub_pb.ts";
import { element, setText, type Part } from "./dom.ts";
import * as format from "./format.ts";
import { shape, STATES } from "./states.ts";
import { heads, row, section, Table } from "./table.ts";

const HEADS = heads(
  ["State", "Instance", "Address", "Version", "Labels", "Hubs"],
  ["Sessions", "Lanes", "Running", "RTT", "Since"],
);

export class Agents {
  private readonly more = element("p", { class: "note" });
  private readonly table = new Table<Client>("Agents", HEADS, "No agent is there.", (agent) => agent.instance, agentRow);
  readonly root = section("Agents", this.table.root, this.more);

  show(agents: readonly Client[], all: number): void {
    this.table.show(agents);
    setText(this.more, all > agents.length ? `And ${format.count(all - agents.length)} more.` : "");
  }
}

/** What is the matter with it, in the words and shapes of names. */
function stateOf(agent: Client): { id: string; shape: string; word: string } {
  const like = (id: string, word: string) => ({ ...STATES.find((state) => state.id === id)!, word });
  if (agent.upstreamUnreachable) return like("unreachable", "Server gone");
  if (agent.draining) return like("draining", "Draining");
  if (agent.suspectSessions > 0) {
    const isAll = agent.suspectSessions >= agent.sessions;
    return like("suspect", isAll ? "Silent" : `${agent.suspectSessions} of ${agent.sessions} silent`);
  }
  return like("online", agent.standby ? "Standby" : "Online");
}

function agentRow(): Part<Client> {
  const { root, cells } = row(HEADS);
  const [state, ...others] = cells;
  const mark = shape();
  const word = element("span");
  state!.append(mark.root, word);
  return {
    root,
    update(agent) {
      const now = stateOf(agent);
      mark.show(now);
      setText(word, now.word);
      const labels = Object.entries(agent.labels).sort();
      const texts = [
        agent.instance,
        agent.remoteAddress,
        agent.agentVersion,
        labels.map(([key, value]) => `${key}=${value}`).join(", ") || format.NONE,
        agent.hubs.join(", "),
        format.count(agent.sessions),
        format.count(agent.lanes),
        format.count(agent.callsInFlight),
        format.took(agent.rtt),
        format.age(agent.connectedSince),
      ];
      others.forEach((cell, at) => setText(cell, texts[at]!));
    },
  };
}
