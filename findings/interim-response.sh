#!/usr/bin/env bash
# An interim response (1xx) in front of a good gRPC answer makes the call fail at two Python clients.
#
# Surprising: HTTP lets any server or intermediary send 1xx header blocks before the final one, and a
# client has to skip those it does not know. grpcio (C-core) takes the first header block for the
# answer: UNKNOWN "Received http2 header with status: 103", though headers, message and
# "grpc-status: 0" follow. grpclib raises NotImplementedError in its protocol and loses the connection.
# grpc-js takes the same bytes as OK. gRPC's own text on status codes says that 1xx should be skipped.
# Why it matters: a front with Early Hints sends 103 before it has the answer, and a server 100 if it
# was asked to. A proxy has to hand them on (RFC 9110 15.2), so such a call fails at these clients
# whatever lies between.
#
# Version: grpcio 1.85.1, grpclib 0.4.9 (h2 4.4.1), @grpc/grpc-js 1.14.7; server: Node's http2.
# Source: RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior to
# a final response, even if the client does not expect one"; RFC 9113 8.1; grpc/doc/
# http-grpc-status-mapping.md: "Technically, 1xx should have the entire header skipped".
set -euo pipefail

dir=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    wait
    rm -rf "$dir"
}
trap stop EXIT
cd "$dir"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check grpcio==1.85.1 grpclib==0.4.9 h2==4.4.1
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @grpc/grpc-js@1.14.7

# Answers every call with one empty message and OK; /trial.Trial/After103 with a 103 before it.
cat > server.js <<'JS'
import http2 from 'node:http2';

const server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.resume();
  stream.on('error', () => {});
  stream.on('end', () => {
    const interim = /After(\d+)$/.exec(headers[':path']);
    if (interim) stream.additionalHeaders({ ':status': Number(interim[1]) });
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.alloc(5));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
JS

cat > with_grpcio.py <<'PY'
import sys

import grpc

port, *methods = sys.argv[1:]
with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
    for method in methods:
        try:
            channel.unary_unary(f"/trial.Trial/{method}")(b"", timeout=20)
            print("OK")
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}")
PY

cat > with_grpclib.py <<'PY'
import asyncio
import logging
import sys

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase

logging.disable()


class Bytes(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


async def main(port, *methods):
    for method in methods:
        channel = Channel("127.0.0.1", int(port), codec=Bytes())
        try:
            await UnaryUnaryMethod(channel, f"/trial.Trial/{method}", bytes, bytes)(b"", timeout=20)
            print("OK")
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
        channel.close()


asyncio.run(main(*sys.argv[1:]))
PY

cat > with_grpcjs.js <<'JS'
import * as grpc from '@grpc/grpc-js';

const [port, ...methods] = process.argv.slice(2);
const same = (bytes) => bytes;
const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
  'grpc.enable_http_proxy': 0,
});
for (const method of methods) {
  await new Promise((resolve) => {
    const deadline = Date.now() + 20000;
    client.makeUnaryRequest(`/trial.Trial/${method}`, same, same, Buffer.alloc(0), { deadline }, (error) => {
      console.log(error ? error.message : 'OK');
      resolve();
    });
  });
}
client.close();
JS

node server.js > port &
server=$!
for _ in $(seq 200); do
    if [ -s port ]; then break; fi
    sleep 0.05
done
methods="Plain After100 After103"

changed=0
# check CLIENT EXPECTED COMMAND...: EXPECTED has a line for each method.
check() {
    local client=$1 expected=$2 seen
    shift 2
    seen=$("$@" "$(cat port)" $methods)
    echo "  $client:"
    paste -d' ' <(printf '    plain answer:\n    100, then it:\n    103, then it:\n') <(echo "$seen")
    if [ "$seen" != "$expected" ]; then changed=1; fi
}

echo "A unary call, answered with one message and grpc-status 0, without and with a 1xx header block before that."
echo "Expected: OK each time (RFC 9110 15.2)."
echo "Seen:"
check "grpcio 1.85.1" "OK
UNKNOWN: Received http2 header with status: 100
UNKNOWN: Received http2 header with status: 103" venv/bin/python with_grpcio.py
check "grpclib 0.4.9" "OK
StreamTerminatedError: Connection lost
StreamTerminatedError: Connection lost" venv/bin/python with_grpclib.py
check "@grpc/grpc-js 1.14.7" "OK
OK
OK" node with_grpcjs.js
if [ "$changed" = 0 ]; then
    echo "As described: grpcio and grpclib take the interim header block for the end of the matter."
else
    echo "CHANGED: this is no longer what these clients do."
    exit 1
fi
