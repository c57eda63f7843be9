#!/usr/bin/env bash
# The gRPC client of Connect for JavaScript writes every timeout in milliseconds, and so ends at 27.8 hours.
#
# Surprising: gRPC lets a timeout have 8 digits and six units, so that a client moves on to seconds,
# minutes or hours when the number grows. @connectrpc/connect knows all six when it reads, but writes
# only "m". From 100,000,000 ms on it sends 9 digits, and its own server refuses the call as
# "invalid grpc timeout value" (so does grpc-go 1.85: INTERNAL, "timeout string is too long").
# Why it matters: a one-day timeout works, a two-day one is refused by the servers that follow the
# rule, with an error that names a header which the caller never wrote.
#
# Version: @connectrpc/connect and connect-node 2.1.2, @bufbuild/protobuf 2.17.0 (npm), on Node's http2.
# Source: gRPC over HTTP2: TimeoutValue is a positive integer as ASCII string of at most 8 digits.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact \
    @connectrpc/connect@2.1.2 @connectrpc/connect-node@2.1.2 @bufbuild/protobuf@2.17.0

cat > trial.js <<'JS'
import http2 from 'node:http2';
import { Code, createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createGrpcTransport } from '@connectrpc/connect-node';
import { create, createFileRegistry } from '@bufbuild/protobuf';
import { EmptySchema, FileDescriptorProtoSchema, file_google_protobuf_empty } from '@bufbuild/protobuf/wkt';

const HOUR = 3600 * 1000;
const file = create(FileDescriptorProtoSchema, {
  name: 'trial.proto',
  package: 'trial',
  syntax: 'proto3',
  dependency: ['google/protobuf/empty.proto'],
  service: [{
    name: 'Trial',
    method: [{ name: 'Say', inputType: '.google.protobuf.Empty', outputType: '.google.protobuf.Empty' }],
  }],
});
const service = createFileRegistry(file, () => file_google_protobuf_empty.proto).getService('trial.Trial');

let header;
const adapter = connectNodeAdapter({
  routes: (router) => router.service(service, { say: () => create(EmptySchema) }),
});
const server = http2.createServer((request, response) => {
  header = request.headers['grpc-timeout'];
  adapter(request, response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.address().port}` });
const client = createClient(service, transport);

const seen = {};
for (const hours of [27, 28, 48]) {
  let result = 'OK';
  try {
    await client.say({}, { timeoutMs: hours * HOUR });
  } catch (error) {
    result = `${Code[error.code]}, "${error.rawMessage}"`;
  }
  seen[hours] = [header, result];
  console.log(`  timeout of ${hours} hours: sent "grpc-timeout: ${header}", answer ${result}`);
}

const digits = (hours) => `${hours * HOUR}m`;
const refused = (hours) =>
  `InvalidArgument, "protocol error: invalid grpc timeout value: ${digits(hours)}"`;
const same =
  String(seen[27]) === String([digits(27), 'OK']) &&
  [28, 48].every((hours) => String(seen[hours]) === String([digits(hours), refused(hours)]));
process.exit(same ? 0 : 1);
JS

echo "@connectrpc/connect-node 2.1.2: unary gRPC calls to a server of the same package."
echo "Expected: OK each time; 28 hours fit in 8 digits as 28H, 1680M or 100800S."
echo "Seen:"
if node trial.js; then
    echo "As described: past 99,999,999 ms the client sends 9 digits, and the server refuses them."
else
    echo "CHANGED: this is no longer what connect-node does."
    exit 1
fi
