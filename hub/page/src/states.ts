// How a name can be: in a word, in a sentence, and as a shape, so that nobody has to tell colours apart.

import { NameState } from "./gen/hub/v1/names_pb.ts";
import { svg } from "./dom.ts";

export interface State {
  state: NameState;
  /** In links and classes. */
  id: string;
  word: string;
  sentence: string;
  /** In a square of 12. */
  shape: string;
}

/** The worst first. */
export const STATES: readonly State[] = [
  {
    state: NameState.OFFLINE,
    id: "offline",
    word: "Offline",
    sentence: "No agent is there any more: calls are refused as offline.",
    shape: "M2.2 2.2 9.8 9.8M9.8 2.2 2.2 9.8",
  },
  {
    state: NameState.UNREACHABLE,
    id: "unreachable",
    word: "Unreachable",
    sentence: "Agents are there, and the server of none takes connections: calls are refused as upstream-unreachable.",
    shape: "M6 1.2 11.2 10.6H.8Z",
  },
  {
    state: NameState.DRAINING,
    id: "draining",
    word: "Draining",
    sentence: "All of its sessions are to end: new calls wait for an agent that takes them.",
    shape: "M.8 3.6a5.2 5.2 0 0 0 10.4 0Z",
  },
  {
    state: NameState.SUSPECT,
    id: "suspect",
    word: "Suspect",
    sentence: "All of its sessions owe an answer to a ping: the way to its agents may be gone.",
    shape: "M6 .8 11.2 6 6 11.2.8 6Z",
  },
  {
    state: NameState.ONLINE,
    id: "online",
    word: "Online",
    sentence: "Calls are served.",
    shape: "M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 1 0 0-9Z",
  },
];

const UNKNOWN: State = {
  state: NameState.UNSPECIFIED,
  id: "unknown",
  word: "Unknown",
  sentence: "The hub says something that this page does not know.",
  shape: "M3 6h6",
};

export function stateOf(state: NameState): State {
  return STATES.find((known) => known.state === state) ?? UNKNOWN;
}

/** The shape of a state; `show` changes it. The word stands beside it, so readers are not told of it. */
export function shape() {
  const path = svg("path");
  const root = svg("svg", { class: "shape", viewBox: "0 0 12 12", "aria-hidden": "true" }, path);
  return {
    root,
    show(state: Pick<State, "id" | "shape">) {
      root.setAttribute("class", `shape is-${state.id}`);
      path.setAttribute("d", state.shape);
    },
  };
}
