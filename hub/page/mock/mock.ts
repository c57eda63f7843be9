// A hub that is made up, for whoever works on the page: npm run mock, then http://127.0.0.1:8099/.
//
// MOCK_NAMES=10000 names, some of them in trouble. GET /mock/down makes it answer nothing for ten seconds, /mock/gone?NAME takes
// a name offline.

import type { DescMessage, DescMethod, MessageInitShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { Activity, ActivityEventSchema, EventType } from "../src/gen/hub/v1/activity_pb.ts";
import { ClientSchema } from "../src/gen/hub/v1/hub_pb.ts";
import { GetHubResponseSchema, GetNameResponseSchema, ListNamesResponseSchema, NameOrder, NameSchema } from "../src/gen/hub/v1/names_pb.ts";
import { Names, NameState, type Name } from "../src/gen/hub/v1/names_pb.ts";

const COUNT = Number(process.env.MOCK_NAMES ?? 1000);
const PORT = Number(process.env.MOCK_PORT ?? 8099);
const STEP_MS = 5000;
const STEPS = 60;
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function durationFromMs(ms: number) {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.round((ms % 1000) * 1e6) };
}

let seed = 7;
function random(): number {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed / 2147483648;
}

const PLACES = ["berlin", "lagos", "osaka", "quito", "oslo", "perth"];
const THINGS = ["billing", "orders", "inventory", "sensors", "gateway", "ledger", "printer", "camera", "search"];
const METHODS = ["/shop.v1.Orders/Get", "/shop.v1.Orders/Place", "/shop.v1.Orders/Watch", "/grpc.health.v1.Health/Check"];

interface Made {
  name: string;
  state: NameState;
  base: number;
  fails: number;
  since: number;
  calls: number;
  errors: number;
  recent: { calls: number; errors: number }[];
}

const made: Made[] = Array.from({ length: COUNT }, (_, at) => {
  const isBusy = random() < 0.6;
  const base = isBusy ? random() ** 3 * 400 : 0;
  const states = [NameState.OFFLINE, NameState.UNREACHABLE, NameState.DRAINING, NameState.SUSPECT];
  const state = random() < 0.015 ? states[Math.floor(random() * 4)]! : NameState.ONLINE;
  const fails = isBusy && random() < 0.01 ? random() * 0.3 : 0;
  const name = at === 3 ? "<img src=x onerror=alert(1)>" : `${THINGS[at % THINGS.length]}-${PLACES[Math.floor(at / 9) % 6]}-${at}`;
  const recent = isBusy ? Array.from({ length: STEPS }, () => step(base, fails)) : [];
  return { name, state, base, fails, since: Math.round(Date.now() - random() ** 2 * 9e8), calls: base * 9e4, errors: base * fails * 9e4, recent };
});

function step(base: number, fails: number) {
  const calls = Math.round(base * (STEP_MS / 1000) * (0.7 + random() * 0.6));
  return { calls, errors: Math.round(calls * fails * random() * 1.6) };
}

setInterval(() => {
  for (const it of made) {
    if (it.recent.length === 0) continue;
    const isServed = it.state !== NameState.OFFLINE && it.state !== NameState.UNREACHABLE;
    it.recent.push(isServed ? step(it.base, it.fails) : { calls: 0, errors: 0 });
    it.recent.shift();
  }
}, STEP_MS);

function nameOf(it: Made): Name {
  const minute = it.recent.slice(-13, -1);
  const sum = (of: (step: { calls: number; errors: number }) => number) => minute.reduce((all, step) => all + of(step), 0) / 60;
  const isThere = it.state !== NameState.OFFLINE;
  const p50 = it.base > 0 && isThere ? 0.4 + (it.base % 17) : 0;
  return create(NameSchema, {
    name: it.name,
    state: it.state,
    since: timestampFromMs(it.since),
    agents: isThere ? 1 + (it.name.length % 2) : 0,
    sessions: isThere ? 2 + 2 * (it.name.length % 2) : 0,
    lanes: Math.ceil(it.base / 40),
    callsInFlight: BigInt(Math.round((it.base / 10) * random())),
    rtt: isThere ? durationFromMs(1 + (it.name.length * 7.3) % 90) : undefined,
    callsRate: sum((s) => s.calls),
    errorsRate: sum((s) => s.errors),
    requestBytesRate: sum((s) => s.calls) * 220,
    responseBytesRate: sum((s) => s.calls) * 900,
    p50: p50 ? durationFromMs(p50) : undefined,
    p99: p50 ? durationFromMs(p50 * 6) : undefined,
    calls: BigInt(Math.round(it.calls)),
    errors: BigInt(Math.round(it.errors)),
    refusals: BigInt(Math.round(it.errors / 9)),
    requestBytes: BigInt(Math.round(it.calls * 220)),
    responseBytes: BigInt(Math.round(it.calls * 900)),
    recent: it.recent,
  });
}

const ms = (it?: { seconds: bigint; nanos: number }) => (it ? Number(it.seconds) * 1000 + it.nanos / 1e6 : -1);
const KEYS: Record<NameOrder, (it: Name) => number | string> = {
  [NameOrder.UNSPECIFIED]: (it) => it.state,
  [NameOrder.NAME]: (it) => it.name,
  [NameOrder.CALLS]: (it) => it.callsRate,
  [NameOrder.ERRORS]: (it) => it.errorsRate,
  [NameOrder.IN_FLIGHT]: (it) => Number(it.callsInFlight),
  [NameOrder.P99]: (it) => ms(it.p99),
  [NameOrder.RTT]: (it) => ms(it.rtt),
  [NameOrder.BYTES]: (it) => it.requestBytesRate + it.responseBytesRate,
  [NameOrder.SINCE]: (it) => ms(it.since),
};

type Answer = (question: any) => { schema: DescMessage; message: MessageInitShape<DescMessage> } | string;

const ANSWERS: [DescMethod, Answer][] = [
  [
    Names.method.listNames,
    (asked) => {
      const fit = made.filter((it) => it.name.includes(asked.filter));
      const states = [1, 2, 3, 4, 5].map((state) => ({ state, names: fit.filter((it) => it.state === state).length }));
      const all = fit.filter((it) => asked.states.length === 0 || asked.states.includes(it.state)).map(nameOf);
      const key = KEYS[asked.order as NameOrder];
      all.sort((a, b) => {
        const [x, y] = asked.descending ? [key(b), key(a)] : [key(a), key(b)];
        return x < y ? -1 : x > y ? 1 : a.name < b.name ? -1 : 1;
      });
      const names = all.slice(asked.offset, asked.offset + (asked.limit || 100));
      const message = { names, total: all.length, states: states.filter((it) => it.names > 0), step: durationFromMs(STEP_MS) };
      return { schema: ListNamesResponseSchema, message };
    },
  ],
  [
    Names.method.getName,
    (asked) => {
      const it = made.find((one) => one.name === asked.name);
      if (!it) return `nobody has registered ${asked.name}`;
      const name = nameOf(it);
      const agents = Array.from({ length: name.agents }, (_, at) =>
        create(ClientSchema, {
          name: it.name,
          instance: `7f3a09c2d1${at}b`,
          sessions: 2,
          remoteAddress: `203.0.113.${at + 7}:51${at}32`,
          labels: { zone: PLACES[at]!, note: "<img src=x onerror=alert(2)>" },
          agentVersion: "0.1.0",
          connectedSince: timestampFromMs(it.since),
          callsInFlight: 3n,
          rtt: name.rtt,
          lanes: name.lanes,
          upstreamUnreachable: it.state === NameState.UNREACHABLE,
          draining: it.state === NameState.DRAINING,
          suspectSessions: it.state === NameState.SUSPECT ? 2 : 0,
          hubs: ["9d1c4e02"],
        }),
      );
      const methods = it.base === 0 ? [] : METHODS.map((method, at) => ({
        method,
        time: durationFromMs((it.calls / 2 ** at) * 4),
        statuses: [
          { status: "OK", calls: BigInt(Math.round(it.calls / 2 ** (at + 1))) },
          ...(at === 1 && it.fails > 0 ? [{ status: "UNAVAILABLE", calls: BigInt(Math.round(it.errors)) }, { status: "NOT_FOUND", calls: 812n }] : []),
        ],
      }));
      return { schema: GetNameResponseSchema, message: { name, agents, methods, step: durationFromMs(STEP_MS) } };
    },
  ],
  [
    Names.method.getHub,
    () => {
      const self = { id: "9d1c4e02", connectedSince: timestampFromMs(Date.now() - 8.3e8), names: COUNT };
      const peer = { id: "b27701aa", remoteAddress: "10.0.0.12:8443", connectedSince: timestampFromMs(Date.now() - 4e7), connections: 4, rtt: durationFromMs(1.3), names: 812 };
      const limits = [
        { limit: "client-resets", times: 3n, last: timestampFromMs(Date.now() - 4000e3) },
        { limit: "streams", times: 41n, last: timestampFromMs(Date.now() - 90000e3) },
      ];
      return {
        schema: GetHubResponseSchema,
        message: {
          nodes: [self, peer], version: "0.1.0", limits, clientConnections: 412n, callsInFlight: 1843n, callsParked: 2n, lanes: 913n,
          agents: BigInt(COUNT), sessions: BigInt(COUNT * 2), heldBytes: 1_830_000n, heldBytesMax: 2_147_483_648n,
          certificateEnds: timestampFromMs(Date.now() + 9 * 864e5), directoryAge: durationFromMs(1400),
        },
      };
    },
  ],
];

let downUntil = 0;

createServer(async (request, response) => {
  if (Date.now() < downUntil) return void response.destroy();
  const path = request.url!.split("?")[0]!;
  if (path === "/mock/down") downUntil = Date.now() + 10_000;
  if (path === "/mock/gone") for (const it of made) if (it.name === decodeURIComponent(request.url!.split("?")[1]!)) it.state = NameState.OFFLINE;
  if (request.method !== "POST") return void file(path, response);
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts).subarray(5);
  response.writeHead(200, { "content-type": "application/grpc-web+proto" });
  if (path === `/${Activity.typeName}/Connect`) return void stream(response);
  for (const [method, answer] of ANSWERS) {
    if (path !== `/${method.parent.typeName}/${method.name}`) continue;
    const told = answer(fromBinary(method.input, body));
    if (typeof told === "string") return void response.end(frame(0x80, Buffer.from(`grpc-status: 5\r\ngrpc-message: ${told}\r\n`)));
    response.write(frame(0, toBinary(told.schema, create(told.schema, told.message))));
    return void response.end(frame(0x80, Buffer.from("grpc-status: 0\r\n")));
  }
  response.end(frame(0x80, Buffer.from("grpc-status: 12\r\n")));
}).listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}/`));

function frame(flags: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

function stream(response: ServerResponse): void {
  let sequence = 0n;
  const timer = setInterval(() => {
    const it = made[Math.floor(random() * Math.min(COUNT, 12))]!;
    const isBad = random() < 0.15;
    const call = {
      method: METHODS[Math.floor(random() * 4)]!,
      status: isBad ? "UNAVAILABLE" : "OK",
      hubReason: isBad ? "upstream-unreachable" : "",
      duration: durationFromMs(random() * 20),
      requestBytes: 120n,
      responseBytes: 2400n,
    };
    const others = [EventType.LANE_OPENED, EventType.CLIENT_REGISTERED, EventType.UPSTREAM_UNREACHABLE];
    const isCall = random() < 0.8;
    const what = isCall ? { type: EventType.REQUEST_PROXIED, call } : { type: others[Math.floor(random() * 3)]! };
    const missed = random() < 0.01 ? 12n : 0n;
    const event = { sequence: sequence++, name: it.name, instance: "7f3a09c2d10b", time: timestampFromMs(Date.now()), missed, ...what };
    response.write(frame(0, toBinary(ActivityEventSchema, create(ActivityEventSchema, event))));
  }, 120);
  response.on("close", () => clearInterval(timer));
}

async function file(path: string, response: ServerResponse): Promise<void> {
  const types: Record<string, string> = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
  const name = path === "/" ? "index.html" : path.slice(1).replaceAll("/", "");
  try {
    const body = await readFile(`${process.env.MOCK_DIST ?? "dist"}/${name}`);
    response.writeHead(200, { "content-type": types[name.split(".").pop()!] ?? "text/plain", "content-security-policy": CSP });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}
