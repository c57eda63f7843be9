#!/usr/bin/env bash
# Metadata with a space at one of its ends, which grpcio sends as it is, does not reach a @grpc/grpc-js server at all.
#
# Surprising: the call succeeds and says nothing. grpcio (C-core) takes a metadata value such as "tail " and writes
# it to the wire unchanged. Node.js reads HTTP/2 with nghttp2, which finds the field invalid (RFC 9113 8.2.1) and leaves
# out the whole field, not the space: the handler sees no such key, while the rest of the call is served. A grpcio server
# gets the same value with its space.
# Why it matters: a token or an id that was read from a file with a trailing blank is there in one language and absent in
# another; and a proxy between the two has to choose between three readings of one request.
#
# Version: grpcio 1.85.1 (PyPI); @grpc/grpc-js 1.14.7 on node 22.23.3 (npm).
# Source: gRPC over HTTP2, "Custom-Metadata": ASCII-Value should not have leading or trailing whitespace; if it does, "it may
# be stripped": the whitespace, not the metadata. RFC 9110 5.5: whitespace around a value is no part of it.
set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install grpcio==1.85.1
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @grpc/grpc-js@1.14.7 node@22.23.3

cat > server.js <<'JS'
import * as grpc from '@grpc/grpc-js';

const same = (bytes) => bytes;
const server = new grpc.Server();
server.addService({
  say: {
    path: '/trial.Trial/Say',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
}, {
  // The answer is what the handler sees of the key.
  say(call, answer) {
    answer(null, Buffer.from(JSON.stringify(call.metadata.get('x-note'))));
  },
});
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
JS

cat > trial.py <<'PY'
import json
import sys
from concurrent import futures

import grpc


class Same(grpc.GenericRpcHandler):
    """The same server, of grpcio."""

    def service(self, details):
        seen = [value for key, value in details.invocation_metadata if key == "x-note"]
        answer = json.dumps(seen).encode()
        return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)


def seen_by(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        say = channel.unary_unary("/trial.Trial/Say")
        ask = lambda value: json.loads(say(b"", metadata=[("x-note", value)], timeout=10))
        return [ask(value) for value in ("in side", "tail ", " head")]


server = grpc.server(futures.ThreadPoolExecutor(2), [Same()])
own = server.add_insecure_port("127.0.0.1:0")
server.start()
grpcio, grpc_js = seen_by(own), seen_by(sys.argv[1])
server.stop(None)
print("  values sent:          ", ["in side", "tail ", " head"])
print("  a grpcio server sees: ", grpcio)
print("  a grpc-js server sees:", grpc_js)
same = grpcio == [["in side"], ["tail "], [" head"]] and grpc_js == [["in side"], [], []]
sys.exit(0 if same else 1)
PY

node_modules/.bin/node server.js > port &
while [ ! -s port ]; do sleep 0.1; done

echo "grpcio 1.85.1 calls a grpc-js 1.14.7 server (node $(node_modules/.bin/node --version)), with one metadata value each."
echo "Expected: the value, with or without the space at its end."
echo "Seen:"
if venv/bin/python trial.py "$(cat port)"; then
    echo "As described: the calls succeed, and grpc-js has lost the two that have a space at an end."
else
    echo "CHANGED: this is no longer what grpc-js does."
    exit 1
fi
