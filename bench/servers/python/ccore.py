"""grpc's C-core: echoes messages, and tells when a call that it holds has ended.

Arguments are options of the server: NAME=NUMBER.
"""

import sys
import threading
import time
from concurrent import futures

import grpc

# More than there are held calls at once: each has a thread.
THREADS = 64


def echo(request, context):
    return request


def hold(request, context):
    call = dict(context.invocation_metadata()).get("x-call")
    gone = threading.Event()

    def ended():
        print(f"gone {call} {time.time_ns()}\n", end="", flush=True)
        gone.set()

    if context.add_callback(ended):
        yield b"x"
        gone.wait()


def main(options):
    server = grpc.server(futures.ThreadPoolExecutor(THREADS), options=options)
    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Hold": grpc.unary_stream_rpc_method_handler(hold),
    }
    handler = grpc.method_handlers_generic_handler("honest.Honest", methods)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"listening 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


def option(text):
    name, _, number = text.partition("=")
    return name, int(number)


main([option(text) for text in sys.argv[1:]])
