#!/usr/bin/env bash
# Two values of one "-bin" key, joined with a comma on the way, are an error at both gRPC reference servers.
#
# Surprising: gRPC over HTTP2 lets an intermediary join the values of a repeated key with "," and says
# that implementations must split a "-bin" field on "," before they decode it. grpc-go answers
# INTERNAL "malformed binary metadata", grpc C-core (here Python) INTERNAL "illegal base64 encoding".
# grpclib decodes the whole into one value, three bytes that nobody sent. grpc-js splits, as the text asks.
# The joining party is not exotic: Node's http2 module joins repeated fields by itself, so ten lines
# of relay in Node that copy `headers` do it (it joins with ", "; a bare "," fares no better).
# Why it matters: a key with one value passes, the same call with two of them fails, and only behind
# the relay. Whoever writes a proxy must keep the fields of "-bin" keys apart, whatever HTTP allows.
#
# Version: grpc-go v1.85.0, grpcio 1.85.1, grpclib 0.4.9, @grpc/grpc-js 1.14.7, relay: Node's http2.
# Source: gRPC over HTTP2, Requests: "Duplicate header names may have their values joined with ","
# as the delimiter and be considered semantically equivalent. Implementations must split
# Binary-Headers on "," before decoding the Base64-encoded values."; RFC 9110 5.3 (lists in fields).
set -euo pipefail

dir=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap stop EXIT
cd "$dir"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check grpcio==1.85.1 grpclib==0.4.9 h2==4.4.1
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @grpc/grpc-js@1.14.7

# Each server answers /trial.Trial/Say with the values of x-bin it was given: in hexadecimal, apart by spaces.
mkdir go && cat > go/go.mod <<'MOD'
module trial

go 1.26
MOD
cat > go/main.go <<'GO'
package main

import (
	"fmt"
	"log"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func main() {
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		given, _ := metadata.FromIncomingContext(stream.Context())
		var values []string
		for _, value := range given["x-bin"] {
			values = append(values, fmt.Sprintf("%x", value))
		}
		return stream.SendMsg(wrapperspb.String(strings.Join(values, " ")))
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(server.Serve(listener))
}
GO
(
    cd go
    export GOFLAGS=-mod=mod CGO_ENABLED=0
    go get google.golang.org/grpc@v1.85.0 >get.log 2>&1 || { cat get.log; exit 2; }
    go build -o server .
)

cat > grpcio_server.py <<'PY'
from concurrent import futures

import grpc


def say(request, context):
    values = [value.hex() for key, value in context.invocation_metadata() if key == "x-bin"]
    text = " ".join(values).encode()
    return b"\n" + bytes([len(text)]) + text


server = grpc.server(futures.ThreadPoolExecutor(1))
handlers = {"Say": grpc.unary_unary_rpc_method_handler(say)}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("trial.Trial", handlers)])
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
PY

cat > grpclib_server.py <<'PY'
import asyncio
import socket

from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.server import Server


class Bytes(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


class Trial:
    async def say(self, stream):
        await stream.recv_message()
        text = " ".join(value.hex() for value in stream.metadata.getall("x-bin")).encode()
        await stream.send_message(b"\n" + bytes([len(text)]) + text)

    def __mapping__(self):
        return {"/trial.Trial/Say": Handler(self.say, Cardinality.UNARY_UNARY, bytes, bytes)}


async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server([Trial()], codec=Bytes())
    await server.start(sock=listener)
    print(listener.getsockname()[1], flush=True)
    await server.wait_closed()


asyncio.run(main())
PY

cat > grpcjs_server.js <<'JS'
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
      const text = call.metadata.get('x-bin').map((value) => value.toString('hex')).join(' ');
      answer(null, Buffer.concat([Buffer.from([10, text.length]), Buffer.from(text)]));
    },
  },
);
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
JS

# The relay: hands on what it is given, and prints x-bin as Node has it.
cat > relay.js <<'JS'
import http2 from 'node:http2';

const target = http2.connect(`http://127.0.0.1:${process.argv[2]}`);
const relay = http2.createServer();
relay.on('stream', (inbound, headers) => {
  console.error(headers['x-bin']);
  const outbound = target.request(headers, { waitForTrailers: false });
  inbound.pipe(outbound);
  let trailers = {};
  outbound.on('trailers', (given) => (trailers = given));
  outbound.on('response', (given, flags) => {
    const last = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    inbound.respond(given, { endStream: last, waitForTrailers: !last });
    if (last) return;
    inbound.on('wantTrailers', () => inbound.sendTrailers(trailers));
    outbound.pipe(inbound);
  });
});
relay.listen(0, '127.0.0.1', () => console.log(relay.address().port));
JS

cat > call.py <<'PY'
import sys

import grpc

with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}", options=[("grpc.enable_http_proxy", 0)]) as channel:
    metadata = [("x-bin", b"\x01"), ("x-bin", b"\x02")]
    try:
        print("OK, values:", channel.unary_unary("/trial.Trial/Say")(b"", metadata=metadata, timeout=20)[2:].decode())
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}")
PY

# start NAME COMMAND...: runs it in the background and waits for the port on its first line of output.
start() {
    local name=$1
    shift
    "$@" > "$name.port" 2> "$name.log" &
    pids+=($!)
    for _ in $(seq 200); do
        if [ -s "$name.port" ]; then return; fi
        sleep 0.05
    done
    echo "$name did not start"
    cat "$name.log"
    exit 2
}

# trial NAME EXPECTED COMMAND...: a call to the server alone, and one through the relay.
changed=0
trial() {
    local name=$1 expected=$2 direct joined
    shift 2
    start "$name" "$@"
    start "$name-relay" node relay.js "$(cat "$name.port")"
    direct=$(venv/bin/python call.py "$(cat "$name.port")")
    joined=$(venv/bin/python call.py "$(cat "$name-relay.port")")
    echo "  $name:"
    echo "    alone:        $direct"
    echo "    behind relay: $joined   (x-bin: $(head -1 "$name-relay.log"))"
    if [ "$direct" != "OK, values: 01 02" ] || [[ "$joined" != $expected ]]; then changed=1; fi
}

echo "A unary call with x-bin = 01 and x-bin = 02, alone and through a relay on Node $(node --version) that copies the headers."
echo "Expected: both values each time, as gRPC over HTTP2 says (must split on \",\" before decoding)."
echo "Seen:"
trial grpc-go-1.85.0 'INTERNAL: malformed binary metadata *' go/server
trial grpcio-1.85.1 'INTERNAL: * illegal base64 encoding*' venv/bin/python grpcio_server.py
trial grpclib-0.4.9 'OK, values: 010020' venv/bin/python grpclib_server.py
trial grpc-js-1.14.7 'OK, values: 01 02' node grpcjs_server.js
if [ "$changed" = 0 ]; then
    echo "As described: grpc-go and C-core refuse the call, grpclib makes up one of its own, grpc-js has both."
else
    echo "CHANGED: this is no longer what these servers do."
    exit 1
fi
