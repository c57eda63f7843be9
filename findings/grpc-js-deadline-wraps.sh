#!/usr/bin/env bash
# A @grpc/grpc-js server counts a call's deadline in 32 bits: a longer deadline can be one in the past.
#
# Surprising: the server turns `grpc-timeout` into a signed 32-bit number of milliseconds, which wraps.
# A deadline of 24 days works, one of 30 days has passed before the handler starts (the call ends
# with DEADLINE_EXCEEDED at once), one of 60 days is kept as 10.3 days. The grpc-js client guards
# against timers of that length and sends all of these correctly: the two halves of one package differ.
# Why it matters: "a month" is what callers of watch-like streams set for "practically never", and a
# proxy must hand `grpc-timeout` on as it came; the same call works with another server.
#
# Version: @grpc/grpc-js 1.14.7 (npm).
# Source: gRPC over HTTP2: TimeoutValue is a positive integer of at most 8 digits, TimeoutUnit may be
# "H": 720H is well inside; https://grpc.io/docs/guides/deadlines names no upper limit.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @grpc/grpc-js@1.14.7

cat > trial.js <<'JS'
import * as grpc from '@grpc/grpc-js';

const DAY = 24 * 3600 * 1000;
const same = (bytes) => bytes;
const service = {
  say: {
    path: '/trial.Trial/Say',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};

// The handler tells which deadline it was given, and answers one turn of the timers later.
let given;
const server = new grpc.Server();
server.addService(service, {
  say(call, answer) {
    given = call.getDeadline() - Date.now();
    setTimeout(() => answer(null, call.request), 50);
  },
});
const port = await new Promise((resolve, reject) => {
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
    error ? reject(error) : resolve(bound));
});
const Client = grpc.makeGenericClientConstructor(service, 'trial.Trial');
const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
  'grpc.enable_http_proxy': 0,
});

const seen = {};
for (const days of [24, 30, 60]) {
  const code = await new Promise((resolve) => {
    client.say(Buffer.from('x'), { deadline: Date.now() + days * DAY }, (error) =>
      resolve(error ? error.code : grpc.status.OK));
  });
  const kept = Math.round((given / DAY) * 10) / 10;
  seen[days] = [grpc.status[code], kept];
  console.log(`  deadline in ${days} days: ${grpc.status[code]}, the handler was told ${kept} days`);
}
client.close();
server.forceShutdown();

const wraps =
  String(seen[24]) === 'OK,24' &&
  String(seen[30]) === 'DEADLINE_EXCEEDED,-19.7' &&
  String(seen[60]) === 'OK,10.3';
process.exitCode = wraps ? 0 : 1;
JS

echo "@grpc/grpc-js 1.14.7: a unary call that takes 50 ms, with deadlines of 24, 30 and 60 days."
echo "Expected: OK each time, with the deadline that was set (gRPC over HTTP2 allows up to 99999999H)."
echo "Seen:"
if node trial.js; then
    echo "As described: the server's deadline wraps at 2^31 ms, 24.9 days."
else
    echo "CHANGED: this is no longer what grpc-js does."
    exit 1
fi
