// What it means that a limit was reached: the sentences of the hub's log, in hub/src/observe/limit.rs.

const SENTENCES: Record<string, string> = {
  "agent-frames": "An agent’s server floods a lane with frames that belong to no call: the lane was ended.",
  "agent-heads": "An agent’s server answers with more headers than are passed on, or faster than they are let through.",
  "agent-messages": "An agent floods its session with messages that mean nothing: the session was ended.",
  answers: "A client makes calls that the hub itself answers, faster than it does: they wait.",
  "client-data": "A client sends small frames faster than they are let through: it is read slowly.",
  "client-frames": "A client floods its connection with frames that belong to no call: the connection was ended.",
  "client-heads": "A client sends long headers faster than they are let through: it is read slowly.",
  "client-resets": "A client gives up calls faster than they are let through: its next ones wait.",
  connections: "Connections are as many as --max-connections allows: the hub hung up.",
  handshakes: "Too many connections say nothing: the hub hung up on the oldest.",
  "health-list": "A list of health would be longer than an answer may be: it was refused.",
  held: "Too many bytes wait in the hub for peers that do not take them: addresses with no less than the average get no new calls.",
  "own-calls": "A client has too many calls to the hub itself open: a call was refused.",
  registrations: "Too many registrations from one address: it is refused for a while.",
  streams: "A call found no lane, or no stream on its lanes, that an agent’s server takes: it was refused.",
  "upstream-closed": "An agent’s server has ended a caller’s connection for cause: the caller has none for a while.",
  watches: "Health has as many watchers as it may: those who have one get no more.",
};

/** In words; empty for one that this page does not know. */
export function meaning(limit: string): string {
  return SENTENCES[limit] ?? "";
}
