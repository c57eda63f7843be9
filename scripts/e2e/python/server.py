"""The Python server of the end-to-end tests: e2e.v1.Echo, health, reflection on grpcio (C-core)."""

import argparse
import asyncio
import hashlib
import os
import signal

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from e2e.v1 import echo_pb2, echo_pb2_grpc

# Fits the 64 MiB of the large cases; gRPC's own default is 4 MiB.
LARGEST_MESSAGE = 80 << 20
# Ends a call of Wait that nobody cancels.
LONGEST_WAIT_S = 60


class Call:
    """One call of Wait."""

    def __init__(self):
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()


class Group:
    """The calls of Gather with one id."""

    def __init__(self):
        self.arrived = 0
        self.complete = asyncio.Event()


class Echo(echo_pb2_grpc.EchoServicer):
    """See echo.proto for what each method does."""

    def __init__(self):
        self.calls = {}
        self.groups = {}

    async def Unary(self, request, context):
        back = [
            (key, value)
            for key, value in context.invocation_metadata()
            if key.startswith("x-echo-")
        ]
        await context.send_initial_metadata(back)
        context.set_trailing_metadata(back)
        return request

    async def ClientStream(self, request_iterator, context):
        messages, size, digest = 0, 0, hashlib.sha256()
        async for message in request_iterator:
            messages += 1
            size += len(message.payload)
            digest.update(message.payload)
            if message.pause_ms:
                await asyncio.sleep(message.pause_ms / 1000)
        return echo_pb2.Summary(messages=messages, bytes=size, sha256=digest.digest())

    async def ServerStream(self, request, context):
        digest = hashlib.sha256()
        for _ in range(request.messages):
            payload = os.urandom(request.size)
            digest.update(payload)
            yield echo_pb2.Message(payload=payload)
        context.set_trailing_metadata([("x-sha256-bin", digest.digest())])

    async def Bidi(self, request_iterator, context):
        async for message in request_iterator:
            yield message

    async def Fail(self, request, context):
        if request.header_first:
            await context.send_initial_metadata([("x-header", "sent")])
        details = [any_pb2.Any(), any_pb2.Any()]
        details[0].Pack(
            error_details_pb2.ErrorInfo(reason="E2E", domain="e2e.v1", metadata={"peer": "any"})
        )
        violation = error_details_pb2.BadRequest.FieldViolation(
            field="code", description="as asked"
        )
        details[1].Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        status = status_pb2.Status(code=request.code, message=request.message, details=details)
        code = next(code for code in grpc.StatusCode if code.value[0] == request.code)
        trailer = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(code, request.message, trailer)

    async def Wait(self, request, context):
        call = self.calls.setdefault(request.call_id, Call())
        if call.started.is_set():
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "this call came twice")
        call.started.set()
        try:
            if not request.silent:
                yield echo_pb2.Message(text="started")
            await asyncio.sleep(LONGEST_WAIT_S)
        # grpcio (1.85) cancels its own write of what was yielded, if it is still at that: what waits at the yield is
        # closed then, and not told that it is cancelled.
        except (asyncio.CancelledError, GeneratorExit):
            call.cancelled.set()
            raise

    async def Observe(self, request, context):
        call = self.calls.setdefault(request.call_id, Call())
        is_end = request.state == echo_pb2.ObserveRequest.CANCELLED
        await (call.cancelled if is_end else call.started).wait()
        return echo_pb2.ObserveResponse()

    async def Gather(self, request, context):
        group = self.groups.setdefault(request.id, Group())
        group.arrived += 1
        arrival = group.arrived
        if arrival == request.size:
            group.complete.set()
        await group.complete.wait()
        return echo_pb2.GatherResponse(arrival=arrival)


async def add_services(server):
    """Echo, and what every gRPC server has: health and reflection."""
    echo_pb2_grpc.add_EchoServicer_to_server(Echo(), server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    await healthy.set("e2e.v1.Echo", health_pb2.HealthCheckResponse.SERVING)
    names = [echo_pb2.DESCRIPTOR.services_by_name["Echo"].full_name, health.SERVICE_NAME]
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)


def bind(server, args):
    """Binds and returns the address that a caller needs."""
    if args.tls_cert_file:
        with open(args.tls_cert_file, "rb") as cert, open(args.tls_key_file, "rb") as key:
            credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
        port = server.add_secure_port(args.listen, credentials)
    else:
        port = server.add_insecure_port(args.listen)
    if args.listen.startswith("unix:"):
        return args.listen
    return f"{args.listen.rsplit(':', 1)[0]}:{port}"


async def serve(args):
    """Serves until SIGTERM."""
    limits = [
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ]
    server = grpc.aio.server(options=limits)
    await add_services(server)
    address = bind(server, args)
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("READY", address, flush=True)
    await stop.wait()
    await server.stop(grace=None)


def main():
    """Listens on an address or `unix:/path` and prints `READY address`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--tls-cert-file")
    parser.add_argument("--tls-key-file")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
