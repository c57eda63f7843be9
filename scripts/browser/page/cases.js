// What each client has to be able to do, by name of the case. A case throws why it is not so.
import { Failure } from "./clients.js";
import { Echo, ObserveRequest_State as State } from "./gen/e2e/v1/echo_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { Activity } from "./gen/hub/v1/activity_pb.js";

const { unary, serverStream, fail, wait, observe } = Echo.method;
const { connect } = Activity.method;

const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const FAILED_PRECONDITION = 9;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

// The deadline is 200 ms. grpc-web itself gives up after a second, which must not be what ends the call.
const EARLIEST_MS = 150;
const LATEST_MS = 900;

/** Of a page from an origin that may call the hub. */
export const allowed = {
  unary: async ({ call }) => {
    // Base64 has three remainders; the last size takes many frames.
    for (const size of [0, 1, 2, 3, 1 << 20]) {
      const sent = { text: "grüezi", payload: new Uint8Array(size).fill(7) };
      const [got] = (await call(unary, sent)).messages;
      const same = got.text === sent.text && got.payload.length === size;
      check(same && got.payload.every((byte) => byte === 7), `${size} bytes came back different`);
    }
  },

  metadata: async ({ call, headers }) => {
    const sent = { ...headers, "x-echo-text": "one", "x-echo-bytes-bin": "AAECAw==" };
    const { header, trailer } = await call(unary, {}, { headers: sent });
    for (const [where, read] of Object.entries({ header, trailer })) {
      const text = read("x-echo-text");
      check(text === "one", `${where} x-echo-text is ${text}`);
      const bytes = read("x-echo-bytes-bin");
      check(unpadded(bytes) === "AAECAw", `${where} x-echo-bytes-bin is ${bytes}`);
    }
  },

  stream: async ({ call }) => {
    const { messages, trailer } = await call(serverStream, { messages: 300, size: 10_000 });
    check(messages.length === 300, `${messages.length} messages`);
    const all = await new Blob(messages.map(({ payload }) => payload)).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
    const came = unpadded(btoa(String.fromCharCode(...digest)));
    const told = trailer("x-sha256-bin");
    check(unpadded(told) === came, `the digest is ${came}, the trailer says ${told}`);
  },

  // The hub tells of each call when it has ended, and the next call is made once that has been seen.
  "stream-live": async ({ call, headers: { name, ...token } }) => {
    const stop = new AbortController();
    let seen = 0;
    const onMessage = (event) => {
      seen += event.name === name && event.call ? 1 : 0;
    };
    const how = { headers: token, signal: stop.signal, onMessage };
    let ended;
    const watching = failureOf(call(connect, {}, how)).then((failure) => (ended = failure));
    // That it watches, only what it sees can tell.
    for (let calls = 0; seen === 0 || calls < 20; calls++) {
      const before = seen;
      await call(unary);
      await (before === 0 ? pause(50) : until(() => ended || seen > before, `event ${before + 1}`));
      check(!ended, `it has ended: ${ended}`);
    }
    stop.abort();
    expect(await watching, CANCELLED);
  },

  "error-details": async ({ call }) => {
    for (const headerFirst of [false, true]) {
      const message = "not yet: ü, 100%";
      const failure = await failureOf(call(fail, { code: FAILED_PRECONDITION, message, headerFirst }));
      expect(failure, FAILED_PRECONDITION);
      check(failure.message === message, `the message is ${failure.message}`);
      const [info] = failure.details(ErrorInfoSchema);
      check(info?.reason === "E2E" && info.metadata.peer === "any", "its ErrorInfo is not there");
      const [bad] = failure.details(BadRequestSchema);
      check(bad?.fieldViolations[0].field === "code", "its BadRequest is not there");
    }
  },

  cancel: async ({ call, live }) => {
    let text;
    const onMessage = (message) => (text = message.text);
    const reached = () => live && until(() => text === "started", "the first message");
    await cancel(call, { silent: false, onMessage, reached });
  },

  // Not even the head of a response has come.
  "cancel-silent": async ({ call }) => {
    await cancel(call, { silent: true });
  },

  deadline: async ({ call }) => {
    await end(call, { timeoutMs: 200 });
  },

  // The client tells the deadline, and leaves it to the others to heed it.
  "deadline-told": async ({ call, headers, timeout: [key, value] }) => {
    await end(call, { headers: { ...headers, [key]: value } });
  },

  "unknown-name": async ({ call, headers }) => {
    await refuse(call, { ...headers, name: "nobody" }, UNAVAILABLE, "unknown-name");
  },

  offline: async ({ call, headers, gone }) => {
    await refuse(call, { ...headers, name: gone }, UNAVAILABLE, "offline");
  },

  "no-token": async ({ call, headers: { name } }) => {
    await refuse(call, { name }, UNAUTHENTICATED, "unauthenticated");
  },
};

/** Those for clients that see messages as they come. */
export const liveOnly = ["stream-live"];

/** Of a page from any other origin. */
export const forbidden = {
  cors: async ({ call, hub }) => {
    const failure = await failureOf(call(unary));
    check(failure instanceof Failure, `the call fails with ${failure}`);
    // The hub is there: a page may send this anywhere, and sees nothing of the answer.
    const { type } = await fetch(hub, { mode: "no-cors" });
    check(type === "opaque", `the response is ${type}`);
  },
};

/** Cancels a call that waits, when it has got so far; its server has to know of it. */
async function cancel(call, { silent, onMessage, reached }) {
  const stop = new AbortController();
  const callId = crypto.randomUUID();
  const failing = failureOf(call(wait, { callId, silent }, { signal: stop.signal, onMessage }));
  await call(observe, { callId, state: State.STARTED });
  await reached?.();
  stop.abort();
  expect(await failing, CANCELLED);
  await call(observe, { callId, state: State.CANCELLED });
}

/** A call that waits silently ends at its deadline; its server has to know of it. */
async function end(call, how) {
  const callId = crypto.randomUUID();
  const began = performance.now();
  const failure = await failureOf(call(wait, { callId, silent: true }, how));
  const tookMs = performance.now() - began;
  expect(failure, DEADLINE_EXCEEDED);
  check(tookMs >= EARLIEST_MS && tookMs < LATEST_MS, `it took ${tookMs} ms`);
  await call(observe, { callId, state: State.CANCELLED });
}

/** The hub refuses both kinds of call, and the page can read why. */
async function refuse(call, headers, code, reason) {
  for (const method of [unary, wait]) {
    const failure = await failureOf(call(method, {}, { headers }));
    expect(failure, code);
    const told = failure.header("hub-reason");
    check(told === reason, `${method.name}: hub-reason is ${told}`);
    check(/^[^%]{10,}$/.test(failure.message), `${method.name}: the message is ${failure.message}`);
  }
}

/** How a call fails. */
const failureOf = (called) =>
  called.then(
    () => new Error("it ended well"),
    (thrown) => thrown,
  );

function expect(failure, code) {
  const is = failure instanceof Failure && failure.code === code;
  check(is, `it ends with ${failure.code}, not ${code}: ${failure.message}`);
}

function check(holds, why) {
  if (!holds) {
    throw new Error(why);
  }
}

async function until(holds, what) {
  const deadline = performance.now() + 5000;
  while (!holds()) {
    check(performance.now() < deadline, `${what}: not within 5 s`);
    await pause(5);
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Base64 may be padded or not.
const unpadded = (text) => text?.replace(/=+$/, "");
