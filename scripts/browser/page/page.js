// Runs the cases that the page's address asks for, and tells each outcome to the server that the page came from.
import { create } from "@bufbuild/protobuf";
import { allowed, forbidden, liveOnly } from "./cases.js";
import { clients } from "./clients.js";

const LIMIT_MS = 10_000;

const { hub, name, token, gone, which, spoken, only } = Object.fromEntries(
  new URLSearchParams(location.search),
);

async function main() {
  for (const client of clients(hub)) {
    for (const [title, run] of Object.entries({ allowed, forbidden }[which])) {
      const at = `${spoken}/${client.title}/${title}`;
      if (new RegExp(only).test(at) && (client.live || !liveOnly.includes(title))) {
        const began = performance.now();
        const why = await outcome(run(world(client)));
        await tell({ case: at, why, ms: performance.now() - began });
      }
    }
  }
  await tell({ done: true });
}

/** What a case has to do with. Calls go to the server, unless it gives other headers. */
function world(client) {
  const headers = { name, "hub-token": token };
  const call = (method, fields = {}, how = {}) =>
    client.call(method, create(method.input, fields), { headers, ...how });
  return { ...client, call, headers, gone, hub };
}

/** Why a case failed, or null. */
async function outcome(running) {
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`not within ${LIMIT_MS} ms`)), LIMIT_MS),
  );
  try {
    await Promise.race([running, late]);
    return null;
  } catch (error) {
    return String(error.message ?? error);
  }
}

const tell = (what) => fetch("/outcome", { method: "POST", body: JSON.stringify(what) });

main();
