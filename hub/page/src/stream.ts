// The stream of activity, opened anew when it ends, where it has ended.

import type { ActivityEvent } from "./gen/hub/v1/activity_pb.ts";
import { activity, BEGINNING } from "./hub.ts";

const PAUSES_MS = [500, 1_000, 2_000, 5_000];

export interface Listener {
  /** How many it has missed that could have been there: not those of before this page. */
  event(event: ActivityEvent, missed: bigint): void;
  /** Whether it is open. */
  changed(isThere: boolean): void;
}

/** Of one name, or of all. */
export class Stream {
  private readonly ending = new AbortController();
  private after = BEGINNING;

  constructor(
    private readonly name: string | undefined,
    private readonly listener: Listener,
  ) {
    void this.stay();
  }

  close(): void {
    this.ending.abort();
  }

  private async stay(): Promise<void> {
    const { signal } = this.ending;
    for (let tries = 0; !signal.aborted; tries++) {
      const opened = () => {
        tries = 0;
        this.listener.changed(true);
      };
      try {
        for await (const event of activity(this.name, this.after, signal, opened)) this.take(event);
      } catch {
        // Whether the hub is there, `poll` finds out and tells.
      }
      if (signal.aborted) return;
      this.listener.changed(false);
      await new Promise((done) => setTimeout(done, PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]));
    }
  }

  private take(event: ActivityEvent): void {
    this.listener.event(event, this.after === BEGINNING ? 0n : event.missed);
    this.after = event.cursor || this.after;
  }
}
