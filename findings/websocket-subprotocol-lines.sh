#!/usr/bin/env bash
# Two WebSocket servers read only the first line of Sec-WebSocket-Protocol, and open without a subprotocol.
#
# Surprising: RFC 6455 lets a client offer its subprotocols in one header line or in several, "logically
# the same". gorilla/websocket (Go) and aiohttp (Python) look at the first line alone. An offer of
# `other` and `hub.v1` in two lines still gets 101, but without hub.v1, which the server has. The
# neighbours coder/websocket (Go) and websockets (Python) choose hub.v1. gorilla reads every line of the
# sister header Sec-WebSocket-Extensions.
# Why it matters: an HTTP library or a proxy that keeps a list of values writes a line for each. The
# handshake looks good at the server; the client ends it, or speaks the wrong language.
#
# Version: github.com/gorilla/websocket v1.5.3, aiohttp 3.14.5; github.com/coder/websocket v1.8.15,
# websockets 17.4.
# Source: RFC 6455 11.3.4: "The Sec-WebSocket-Protocol header field MAY appear multiple times in an
# HTTP request (which is logically the same as a single Sec-WebSocket-Protocol header field that
# contains all values)."
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
venv/bin/pip install --quiet --disable-pip-version-check aiohttp==3.14.5 websockets==17.4

cat > go.mod <<'MOD'
module trial

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

func listen() (net.Listener, int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return listener, listener.Addr().(*net.TCPAddr).Port
}

func main() {
	known := []string{"hub.v1"}
	first, gorillaPort := listen()
	second, coderPort := listen()
	upgrader := gorilla.Upgrader{Subprotocols: known}
	go http.Serve(first, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
			conn.ReadMessage()
		}
	}))
	fmt.Println(gorillaPort, coderPort)
	log.Fatal(http.Serve(second, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: known}); err == nil {
			conn.Read(r.Context())
		}
	})))
}
GO
export GOFLAGS=-mod=mod CGO_ENABLED=0
go get github.com/gorilla/websocket@v1.5.3 github.com/coder/websocket@v1.8.15 >get.log 2>&1 || { cat get.log; exit 2; }
go build -o server .

cat > trial.py <<'PY'
import asyncio
import base64
import logging
import os
import sys

import websockets
from aiohttp import web

logging.disable()
KNOWN = ["hub.v1"]
OFFERS = {
    "one line": ["other, hub.v1"],
    "two lines": ["other", "hub.v1"],
}


async def chosen(port, offer):
    """The status line of the server's answer to the offer, and the subprotocol in it."""
    lines = [
        "GET /ws HTTP/1.1",
        "Host: hub",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(),
        *("Sec-WebSocket-Protocol: " + value for value in offer),
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
    writer.close()
    status, *headers = answer.split("\r\n")
    values = [line.partition(":")[2].strip() for line in headers if line.lower().startswith("sec-websocket-protocol:")]
    return status.split()[1], values[0] if values else "none"


async def by_aiohttp(request):
    socket = web.WebSocketResponse(protocols=KNOWN)
    await socket.prepare(request)
    async for _ in socket:
        pass
    return socket


async def by_websockets(connection):
    async for _ in connection:
        pass


async def main(gorilla, coder):
    app = web.Application()
    app.router.add_get("/ws", by_aiohttp)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sibling = await websockets.serve(by_websockets, "127.0.0.1", 0, subprotocols=KNOWN)

    same = True
    for name, port, takes_all in [
        ("gorilla/websocket 1.5.3", int(gorilla), False),
        ("coder/websocket 1.8.15", int(coder), True),
        ("aiohttp 3.14.5", runner.addresses[0][1], False),
        ("websockets 17.4", sibling.sockets[0].getsockname()[1], True),
    ]:
        seen = {form: await chosen(port, offer) for form, offer in OFFERS.items()}
        said = ", ".join(f"{form}: {status}, subprotocol {value}" for form, (status, value) in seen.items())
        print(f"  {name}: {said}")
        same = same and seen == {
            "one line": ("101", "hub.v1"),
            "two lines": ("101", "hub.v1" if takes_all else "none"),
        }
    sibling.close()
    await runner.cleanup()
    return same


raise SystemExit(0 if asyncio.run(main(*sys.argv[1:])) else 1)
PY

./server > ports &
server=$!
for _ in $(seq 200); do
    if [ -s ports ]; then break; fi
    sleep 0.05
done

echo "WebSocket servers that know the subprotocol hub.v1; the client offers \"other\" and \"hub.v1\"."
echo "Expected: hub.v1 each time (RFC 6455 11.3.4)."
echo "Seen:"
# shellcheck disable=SC2046
if venv/bin/python trial.py $(cat ports); then
    echo "As described: gorilla/websocket and aiohttp open the connection without the subprotocol of the second line."
else
    echo "CHANGED: this is no longer what these servers do."
    exit 1
fi
