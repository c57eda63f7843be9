"""hypercorn as it comes, over HTTP/2 without TLS: every request is answered at once."""

import asyncio
import socket

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(f"nothing here for {scope['type']}")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    print("listening %s:%d" % listener.getsockname(), flush=True)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "ERROR"
    asyncio.run(serve(app, config, mode="asgi"))


main()
