// The hub itself: what it holds, which limits were reached, which others it knows.

import type { Node } from "./gen/hub/v1/hub_pb.ts";
import type { GetHubResponse, LimitReached } from "./gen/hub/v1/names_pb.ts";
import { element, setText, type Part } from "./dom.ts";
import * as format from "./format.ts";
import { CERTIFICATE_WARNING_MS, certificateLeftMs } from "./health.ts";
import { getHub } from "./hub.ts";
import { meaning } from "./limits.ts";
import { Poll } from "./poll.ts";
import { shape, STATES } from "./states.ts";
import { heads, row, section, Table } from "./table.ts";
import { Tiles } from "./tiles.ts";
import type { Route } from "./route.ts";
import type { View } from "./view.ts";

const EVERY_MS = 1_000;
const LIMIT_HEADS = heads(["Limit"], ["Times", "Last"], ["What it means"]);
const NODE_HEADS = heads(["State", "Id", "Address"], ["Names", "Connections", "RTT", "Since"]);

export class HubView implements View {
  private readonly about = element("p", { class: "state-line" });
  private readonly tiles = new Tiles<GetHubResponse>([
    { label: "Agents", value: (it) => format.count(it.agents), note: (it) => format.things(it.sessions, "session") },
    { label: "Clients", value: (it) => format.count(it.clientConnections), note: () => "HTTP/2 connections" },
    { label: "Running", value: (it) => format.count(it.callsInFlight), note: () => "calls now" },
    { label: "Waiting", value: (it) => format.count(it.callsParked), note: () => "calls for their name" },
    { label: "Lanes", value: (it) => format.count(it.lanes), note: () => "to agents’ servers" },
    {
      label: "Held",
      value: (it) => format.bytes(it.heldBytes),
      note: (it) => `of ${format.bytes(it.heldBytesMax)} at most`,
      isBad: (it) => it.heldBytesMax > 0n && it.heldBytes * 10n > it.heldBytesMax * 8n,
    },
    {
      label: "Certificate",
      value: (it) => (it.certificateEnds ? format.span(certificateLeftMs(it)!) : format.NONE),
      note: (it) => (it.certificateEnds ? `ends ${format.moment(it.certificateEnds)}` : "none: plain connections"),
      isBad: (it) => (certificateLeftMs(it) ?? Infinity) < CERTIFICATE_WARNING_MS,
    },
    {
      label: "Directory",
      value: (it) => (it.directoryAge ? format.span(format.milliseconds(it.directoryAge)) : format.NONE),
      note: (it) => (it.directoryAge ? "since it was heard of" : "none"),
    },
  ]);
  private readonly limits = new Table<LimitReached>(
    "Limits reached",
    LIMIT_HEADS,
    "None since the hub started.",
    (limit) => limit.limit,
    limitRow,
  );
  private readonly nodes = new Table<Node>(
    "Other hubs",
    NODE_HEADS,
    "None: this hub is alone.",
    (node) => node.id,
    nodeRow,
  );
  readonly root = element(
    "div",
    { class: "view page-view" },
    element("div", { class: "top" }, element("h1", {}, "Hub")),
    this.about,
    this.tiles.root,
    section("Limits reached", this.limits.root),
    section("Other hubs", this.nodes.root),
  );
  private readonly poll = new Poll((signal) => this.refresh(signal), EVERY_MS);

  title(): string {
    return "Hub";
  }

  follow(route: Route): boolean {
    return route.view === "hub";
  }

  key(): boolean {
    return false;
  }

  close(): void {
    this.poll.stop();
  }

  private async refresh(signal: AbortSignal): Promise<void> {
    const hub = await getHub({}, signal);
    if (signal.aborted) return;
    const self = hub.nodes[0];
    const since = self ? `${self.id}, for ${format.age(self.connectedSince)}, with ${format.things(self.names, "name")}` : "";
    setText(this.about, `grpc-hub ${hub.version} · ${since}${hub.draining ? " · on its way down" : ""}`);
    this.about.classList.toggle("bad", hub.draining);
    this.tiles.show(hub);
    this.limits.show(hub.limits);
    this.nodes.show(hub.nodes.slice(1));
  }
}

function limitRow(limit: LimitReached): Part<LimitReached> {
  const { root, cells } = row(LIMIT_HEADS);
  const [name, times, last, means] = cells;
  name!.append(element("code", {}, limit.limit));
  setText(means!, meaning(limit.limit));
  return {
    root,
    update(now) {
      setText(times!, format.count(now.times));
      setText(last!, now.last ? `${format.age(now.last)} ago` : format.NONE);
      last!.title = format.moment(now.last);
    },
  };
}

function nodeRow(): Part<Node> {
  const { root, cells } = row(NODE_HEADS);
  const [state, ...others] = cells;
  const mark = shape();
  const word = element("span");
  state!.append(mark.root, word);
  return {
    root,
    update(node) {
      mark.show(STATES.find((known) => known.id === (node.suspect ? "suspect" : "online"))!);
      setText(word, node.suspect ? "Silent" : "Connected");
      const texts = [
        node.id,
        node.remoteAddress,
        format.count(node.names),
        format.count(node.connections),
        format.took(node.rtt),
        format.age(node.connectedSince),
      ];
      others.forEach((cell, at) => setText(cell, texts[at]!));
    },
  };
}
