"""grpc's C-core: echoes messages, and tells when a call that it holds has ended.

Arguments are options of the server: NAME=NUMBER.
"""

import asyncio
import sys
import time

import grpc


async def echo(request, context):
    return request


async def hold(request, context):
    call = dict(context.invocation_metadata()).get("x-call")
    try:
        await context.write(b"x")
        await asyncio.Event().wait()
    finally:
        print(f"gone {call} {time.time_ns()}", flush=True)


async def main(options):
    server = grpc.aio.server(options=options)
    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Hold": grpc.unary_stream_rpc_method_handler(hold),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("honest.Honest", methods),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def option(text):
    name, _, number = text.partition("=")
    return name, int(number)


asyncio.run(main([option(text) for text in sys.argv[1:]]))
