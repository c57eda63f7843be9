// Asking again and again while somebody looks, and what becomes of that: is the hub there?

import { reason, refusal } from "./hub.ts";

/** The longest pause between two tries while the hub is not reached. */
const LONGEST_PAUSE_MS = 5_000;

/** What the page knows of its way to the hub. */
export interface Reach {
  /** When it was last heard of, if it is not reached now. */
  lostSince?: Date;
  /** Why it is not reached, or what it has refused. */
  why?: string;
}

type Listener = (reach: Reach) => void;

let reach: Reach = {};
let heardAt = new Date();
const listeners: Listener[] = [];
const polls = new Set<Poll>();

/** Calls with every change. */
export function onReach(listener: Listener): void {
  listeners.push(listener);
}

/** Whether the hub is not reached. */
export function isLost(): boolean {
  return reach.lostSince !== undefined;
}

function become(now: Reach): void {
  reach = now;
  for (const listener of listeners) listener(reach);
}

function heard(why?: string): void {
  heardAt = new Date();
  const wasLost = isLost();
  if (wasLost || reach.why !== why) become({ why });
  // Others need not wait until their pause is over.
  if (wasLost) for (const poll of polls) poll.hurry();
}

function lost(error: unknown): void {
  if (!isLost()) become({ lostSince: heardAt, why: reason(error) });
}

/** Asks at once, and then at each interval while the page is seen. */
export class Poll {
  private timer = 0;
  private asking?: AbortController;
  private failures = 0;
  private readonly look = () => this.now();

  constructor(
    private readonly ask: (signal: AbortSignal) => Promise<void>,
    private readonly everyMs: number,
  ) {
    polls.add(this);
    document.addEventListener("visibilitychange", this.look);
    void this.turn();
  }

  /** Gives up what it is asking and asks anew. */
  now(): void {
    this.asking?.abort();
    clearTimeout(this.timer);
    void this.turn();
  }

  /** Asks if it waits because of a failure. */
  hurry(): void {
    if (this.failures > 0) this.now();
  }

  stop(): void {
    polls.delete(this);
    document.removeEventListener("visibilitychange", this.look);
    this.asking?.abort();
    clearTimeout(this.timer);
  }

  private async turn(): Promise<void> {
    if (document.hidden) return;
    const mine = new AbortController();
    this.asking = mine;
    const began = performance.now();
    try {
      await this.ask(mine.signal);
      if (mine.signal.aborted) return;
      this.failures = 0;
      heard();
    } catch (error) {
      if (mine.signal.aborted) return;
      this.failed(error);
    }
    const pause = Math.min(LONGEST_PAUSE_MS, this.everyMs * 2 ** this.failures);
    const left = Math.max(0, Math.max(pause, this.everyMs) - (performance.now() - began));
    this.timer = window.setTimeout(() => void this.turn(), left);
  }

  private failed(error: unknown): void {
    const no = refusal(error);
    if (no !== undefined) {
      this.failures = 0;
      heard(no);
    } else {
      // Pauses double three times at most; from then on they are as long as they get.
      this.failures = Math.min(3, this.failures + 1);
      lost(error);
    }
  }
}
