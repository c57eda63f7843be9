// Events in words: what happened, to whom, and whether it is a trouble.

import { EventType, type ActivityEvent } from "./gen/hub/v1/activity_pb.ts";
import * as format from "./format.ts";
import { meaning } from "./limits.ts";

/** Events that are chosen together. */
export interface Kind {
  id: string;
  word: string;
  types: readonly EventType[];
  /** They are about no name. */
  isOfHub?: boolean;
}

export const KINDS: readonly Kind[] = [
  { id: "calls", word: "Calls", types: [EventType.REQUEST_PROXIED] },
  {
    id: "agents",
    word: "Agents",
    types: [EventType.CLIENT_REGISTERED, EventType.CLIENT_UNREGISTERED, EventType.REGISTRATION_REFUSED],
  },
  { id: "servers", word: "Servers", types: [EventType.UPSTREAM_REACHABLE, EventType.UPSTREAM_UNREACHABLE] },
  {
    id: "sessions",
    word: "Sessions",
    types: [
      EventType.SESSION_SUSPECT,
      EventType.SESSION_HEALTHY,
      EventType.SESSION_DRAINING,
      EventType.SESSION_REPLACED,
    ],
  },
  { id: "lanes", word: "Lanes", types: [EventType.LANE_OPENED, EventType.LANE_ENDED] },
  { id: "hub", word: "Hub", types: [EventType.LIMIT_REACHED, EventType.HUB_DRAINING], isOfHub: true },
];

/** Statuses that are the server's fault or the hub's, as the hub counts errors. */
const FAULTS = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/** Whether a call that ended so counts as an error: a status of gRPC, HTTP's, or a reset. */
export function isFault(status: string): boolean {
  // Who resets with CANCEL or NO_ERROR has had enough, which is no fault.
  const isReset = status.startsWith("RESET") && !/(CANCEL|NO_ERROR)$/.test(status);
  return FAULTS.includes(status) || /^HTTP[ _]5/.test(status) || isReset;
}

/** An event as a line tells it. */
export interface Line {
  /** Counts the lines of a tail. */
  key: number;
  at: Date;
  name: string;
  what: string;
  /** Its method, its session, its lanes. */
  detail: string;
  /** How it ended, or why. */
  result: string;
  took: string;
  isBad: boolean;
  type: EventType;
}

const WHAT: Partial<Record<EventType, string>> = {
  [EventType.CLIENT_REGISTERED]: "Agent came",
  [EventType.CLIENT_UNREGISTERED]: "Agent went",
  [EventType.REQUEST_PROXIED]: "Call",
  [EventType.LANE_OPENED]: "Lane opened",
  [EventType.LANE_ENDED]: "Lane ended",
  [EventType.UPSTREAM_REACHABLE]: "Server is back",
  [EventType.UPSTREAM_UNREACHABLE]: "Server is gone",
  [EventType.SESSION_SUSPECT]: "Session is silent",
  [EventType.SESSION_HEALTHY]: "Session is heard of",
  [EventType.SESSION_DRAINING]: "Session drains",
  [EventType.SESSION_REPLACED]: "Session replaced",
  [EventType.REGISTRATION_REFUSED]: "Agent refused",
  [EventType.LIMIT_REACHED]: "Limit reached",
  [EventType.HUB_DRAINING]: "Hub drains",
};

const BAD = [
  EventType.CLIENT_UNREGISTERED,
  EventType.UPSTREAM_UNREACHABLE,
  EventType.SESSION_SUSPECT,
  EventType.REGISTRATION_REFUSED,
  EventType.LIMIT_REACHED,
];

export function lineOf(event: ActivityEvent, key: number): Line {
  const line = {
    key,
    at: event.time ? format.date(event.time) : new Date(),
    name: event.name,
    what: WHAT[event.type] ?? `Event ${event.type}`,
    detail: event.instance ? `agent ${event.instance}` : "",
    result: "",
    took: "",
    isBad: BAD.includes(event.type),
    type: event.type,
  };
  if (event.call) return { ...line, ...ofCall(event.call) };
  if (event.lane) {
    const { open, error } = event.lane;
    return { ...line, detail: `${line.detail}, ${format.things(open, "lane")} open`, result: error, isBad: error !== "" };
  }
  if (event.refusal) return { ...line, detail: `from ${event.refusal.address}`, result: event.refusal.reason };
  if (event.limit) return { ...line, detail: `by ${event.limit.address}`, result: `${event.limit.limit}: ${meaning(event.limit.limit)}` };
  if (event.session) return { ...line, detail: `${line.detail}, session ${event.session.id}` };
  return line;
}

function ofCall(call: NonNullable<ActivityEvent["call"]>): Partial<Line> {
  const sizes = `${format.bytes(call.requestBytes)} up, ${format.bytes(call.responseBytes)} down`;
  const extras = [call.status, call.hubReason];
  if (call.parked) extras.push(`waited ${format.took(call.parked)}`);
  if (call.replays > 0) extras.push(`sent ${call.replays + 1} times`);
  return {
    detail: call.method,
    result: extras.filter((text) => text !== "").join(" · "),
    took: `${format.took(call.duration)}, ${sizes}`,
    isBad: isFault(call.status) || call.hubReason !== "",
  };
}

/** A line of what was lost between two others. */
export function gap(key: number, what: string): Line {
  const line = { key, at: new Date(), name: "", detail: "", result: "", took: "", isBad: false };
  return { ...line, what, type: EventType.EVENT_TYPE_UNSPECIFIED };
}
