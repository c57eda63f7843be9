#!/usr/bin/env bash
# A deadline that has passed is none at all to grpc-web: the call is sent, and runs for as long as the server likes.
#
# Surprising: grpc-web is given a deadline as a point in time, like other gRPC clients, and makes of it a grpc-timeout and a
# timer. Where the point lies in the past it makes neither: nothing tells the server that there was a deadline, and nothing
# ends the call. grpc-js answers DEADLINE_EXCEEDED without sending anything. The edge is sharp: a deadline 300 ms ahead still
# cuts the call off, one that was missed by a millisecond lets it run for ever.
# Why it matters: one deadline for several calls in a row, which is what points in time are good for, holds until it is
# needed: the calls after it are the ones without a limit.
#
# Version: grpc-web 2.1.1 (npm), its GrpcWebClientBase; XMLHttpRequest: jsdom 26.1.0; beside it @grpc/grpc-js 1.14.7.
# Source: grpc-web's README, Setting Deadline: "err will be populated if the RPC exceeds the deadline";
# https://grpc.io/docs/guides/deadlines ("a deadline is used to specify a point in time past which a client is unwilling to
# wait for a response from a server").
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact grpc-web@2.1.1 jsdom@26.1.0 @grpc/grpc-js@1.14.7

cat > trial.js <<'JS'
import http from 'node:http';
import * as grpc from '@grpc/grpc-js';
import grpcWeb from 'grpc-web';
import { JSDOM } from 'jsdom';

const METHOD = '/trial.Trial/Say';
const SLOW = 3000;

// Answers every call after SLOW ms with an empty message and OK.
let timeout;
const server = http.createServer((request, response) => {
  request.resume();
  timeout = request.headers['grpc-timeout'] ?? 'none';
  const trailers = Buffer.from('grpc-status: 0\r\n');
  const body = Buffer.concat([Buffer.alloc(5), Buffer.from([0x80, 0, 0, 0, trailers.length]), trailers]);
  response.writeHead(200, { 'content-type': 'application/grpc-web-text' });
  setTimeout(() => response.end(body.toString('base64')), SLOW);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const { window } = new JSDOM('', { url: base });
globalThis.XMLHttpRequest = window.XMLHttpRequest;

const web = new grpcWeb.GrpcWebClientBase({ format: 'text' });
const method = new grpcWeb.MethodDescriptor(METHOD, 'unary', Object, Object, () => new Uint8Array(), () => ({}));
const byWeb = (deadline, done) => web.rpcCall(base + METHOD, {}, { deadline: String(deadline) }, method, done);
const js = new grpc.Client(`127.0.0.1:${server.address().port}`, grpc.credentials.createInsecure());
const same = (bytes) => bytes;
const byJs = (deadline, done) => js.makeUnaryRequest(METHOD, same, same, Buffer.alloc(0), { deadline }, done);

for (const [name, call, offset] of [
  ['grpc-web, in 300 ms', byWeb, 300],
  ['grpc-web, 1 ms ago', byWeb, -1],
  ['grpc-web, 5 s ago', byWeb, -5000],
  ['grpc-js, 5 s ago', byJs, -5000],
]) {
  timeout = 'not asked';
  const start = Date.now();
  const error = await new Promise((resolve) => call(start + offset, resolve));
  const late = Date.now() - start >= SLOW - 100 ? 'when the server answers' : 'before the server answers';
  const sent = timeout.replace(/^\d+m$/, 'some');
  console.log(`  ${name}: ${grpc.status[error?.code ?? 0]} ${late}; grpc-timeout at the server: ${sent}`);
}
js.close();
server.close();
window.close();
JS
seen=$(node trial.js)

echo "Unary calls with a deadline, to a server that answers after 3 s."
echo "Expected: DEADLINE_EXCEEDED before that each time."
echo "Seen:"
echo "$seen"
expected='  grpc-web, in 300 ms: DEADLINE_EXCEEDED before the server answers; grpc-timeout at the server: some
  grpc-web, 1 ms ago: OK when the server answers; grpc-timeout at the server: none
  grpc-web, 5 s ago: OK when the server answers; grpc-timeout at the server: none
  grpc-js, 5 s ago: DEADLINE_EXCEEDED before the server answers; grpc-timeout at the server: not asked'
if [ "$seen" = "$expected" ]; then
    echo "As described: to grpc-web 2.1.1 a deadline in the past is no deadline."
else
    echo "CHANGED: this is no longer what these clients do."
    exit 1
fi
