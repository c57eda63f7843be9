// What the frame knows of a view.

import type { Route } from "./route.ts";

export interface View {
  root: HTMLElement;
  /** What the window is called. */
  title(): string;
  /** Another route of the same view. False: it wants to be made anew. */
  follow(route: Route): boolean;
  /** A key that the frame does not know. True: it was taken. */
  key(event: KeyboardEvent): boolean;
  /** It is not shown any more. */
  close(): void;
}
