#!/usr/bin/env bash
# @grpc/grpc-js receives one value of some metadata keys, however many were sent.
#
# Surprising: gRPC metadata may hold several values of a key. Sent to a grpc-js server, or back to a
# grpc-js client, two values of "location", "from", "age", "etag" ... arrive as one: the second is gone,
# with no error at either end. Two values of any other key arrive joined as "one, two", those of a
# "-bin" key apart. So the number of values depends on the name: Node's http2, which grpc-js is built
# on, has a list of HTTP fields that may occur once, and drops the rest before grpc-js sees them.
# Why it matters: a service that passes on, say, "location" entries through metadata works with every
# other stack and loses data with this one; a proxy test with one value per key cannot find it.
#
# Version: @grpc/grpc-js 1.14.7 (Node 20's http2), grpcio 1.85.1 as its peer.
# Source: gRPC over HTTP2: Custom-Metadata order is preserved "for values with duplicate header names",
# which may at most be joined with ","; grpc-js documents metadata.get() as all values of a key, and
# names no key that has one only (Node has such a list on the page of its http module, message.headers).
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
venv/bin/pip install --quiet --disable-pip-version-check grpcio==1.85.1
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @grpc/grpc-js@1.14.7

# Answers with a JSON text of what it received of the keys it was asked for.
cat > server.js <<'JS'
import * as grpc from '@grpc/grpc-js';

const same = (bytes) => bytes;
const server = new grpc.Server();
server.addService(
  {
    say: {
      path: '/trial.Trial/Say',
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  },
  {
    say(call, answer) {
      const values = (key) => call.metadata.get(key).map(String);
      const keys = call.request.toString().split(' ');
      answer(null, Buffer.from(JSON.stringify(Object.fromEntries(keys.map((key) => [key, values(key)])))));
    },
  },
);
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
JS

# The other way: a grpcio server sends each key twice, as trailing metadata.
cat > client.js <<'JS'
import * as grpc from '@grpc/grpc-js';

const [port, ...keys] = process.argv.slice(2);
const same = (bytes) => bytes;
const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
  'grpc.enable_http_proxy': 0,
});
const call = client.makeUnaryRequest('/trial.Trial/Say', same, same, Buffer.from(keys.join(' ')), (error) => {
  if (error) throw error;
});
call.on('status', (status) => {
  const values = (key) => status.metadata.get(key).map(String);
  console.log(JSON.stringify(Object.fromEntries(keys.map((key) => [key, values(key)]))));
  client.close();
});
JS

cat > trial.py <<'PY'
import json
import subprocess
import sys
from concurrent import futures

import grpc

KEYS = ["location", "from", "age", "etag", "x-key", "x-key-bin"]
EXPECTED = {key: ["one"] for key in KEYS[:4]} | {"x-key": ["one, two"], "x-key-bin": ["one", "two"]}


def twice(keys):
    return [(key, value.encode() if key.endswith("-bin") else value) for key in keys for value in ("one", "two")]


def show(title, seen):
    print(f"  {title}:")
    for key, values in seen.items():
        print(f"    {key}: {values}")


def say(request, context):
    context.set_trailing_metadata(twice(request.decode().split()))
    return b""


def handler():
    return grpc.method_handlers_generic_handler("trial.Trial", {"Say": grpc.unary_unary_rpc_method_handler(say)})


# Its own peer first: grpcio to grpcio keeps all of them.
server = grpc.server(futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers([handler()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
options = [("grpc.enable_http_proxy", 0)]
with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
    _, call = channel.unary_unary("/trial.Trial/Say").with_call(" ".join(KEYS).encode(), timeout=20)
    own = {key: [v.decode() if isinstance(v, bytes) else v for k, v in call.trailing_metadata() if k == key] for key in KEYS}
received = json.loads(subprocess.run(["node", "client.js", str(port), *KEYS], check=True, capture_output=True, timeout=30).stdout)
server.stop(0)
with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}", options=options) as channel:
    answer = channel.unary_unary("/trial.Trial/Say")(" ".join(KEYS).encode(), metadata=twice(KEYS), timeout=20)

show("a grpcio client, from a grpcio server", own)
show("a grpc-js client, from the same server", received)
show("a grpc-js server, from a grpcio client", json.loads(answer))
same = all(values == ["one", "two"] for values in own.values())
raise SystemExit(0 if same and received == EXPECTED and json.loads(answer) == EXPECTED else 1)
PY

node server.js > port &
server=$!
for _ in $(seq 200); do
    if [ -s port ]; then break; fi
    sleep 0.05
done

echo "@grpc/grpc-js 1.14.7 on Node $(node --version): each key is sent with the two values \"one\" and \"two\"."
echo "Expected: both values of each key, apart or joined."
echo "Seen:"
if venv/bin/python trial.py "$(cat port)"; then
    echo "As described: of keys that HTTP knows as single, grpc-js has the first value only."
else
    echo "CHANGED: this is no longer what grpc-js does."
    exit 1
fi
