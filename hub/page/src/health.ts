// What an operator has to be told of the hub itself, whatever view is open.

import type { GetHubResponse } from "./gen/hub/v1/names_pb.ts";
import * as format from "./format.ts";
import { meaning } from "./limits.ts";

/** A certificate that ends sooner is warned of: renewals that work have happened by then. */
export const CERTIFICATE_WARNING_MS = 14 * 24 * 3600 * 1000;
/** A limit that was reached so lately is a matter of now. */
const LATELY_MS = 60_000;
/** A directory is heard of every few seconds. */
const DIRECTORY_WARNING_MS = 30_000;

export interface Trouble {
  id: string;
  text: string;
}

export function troubles(hub: GetHubResponse): Trouble[] {
  const found: Trouble[] = [];
  if (hub.draining) found.push({ id: "draining", text: "This hub is on its way down." });
  const left = certificateLeftMs(hub);
  if (left !== undefined && left < CERTIFICATE_WARNING_MS) {
    found.push({ id: "certificate", text: certificateText(left) });
  }
  for (const limit of hub.limits) {
    const since = limit.last ? Date.now() - format.date(limit.last).getTime() : Infinity;
    if (since < LATELY_MS) {
      found.push({ id: limit.limit, text: `Limit ${limit.limit} reached. ${meaning(limit.limit)}` });
    }
  }
  const directory = hub.directoryAge ? format.milliseconds(hub.directoryAge) : 0;
  if (directory > DIRECTORY_WARNING_MS) {
    found.push({ id: "directory", text: `The directory was last heard of ${format.span(directory)} ago.` });
  }
  const silent = hub.nodes.filter((node) => node.suspect).length;
  if (silent > 0) found.push({ id: "peers", text: `${format.things(silent, "other hub")} cannot be heard now.` });
  return found;
}

export function certificateLeftMs(hub: GetHubResponse): number | undefined {
  return hub.certificateEnds && format.date(hub.certificateEnds).getTime() - Date.now();
}

export function certificateText(leftMs: number): string {
  return leftMs <= 0 ? "The certificate has ended." : `The certificate ends in ${format.span(leftMs)}.`;
}
