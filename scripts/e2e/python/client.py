"""The Python client of the end-to-end tests: runs cases against e2e.v1.Echo on grpcio (C-core)."""

import argparse
import asyncio
import hashlib
import json
import os
import time
import uuid

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from e2e.v1 import echo_pb2, echo_pb2_grpc

# Far above what any case takes, so that a hang fails by name.
CASE_LIMIT_S = 30
# What each large case moves in each direction it tests, in chunks of CHUNK_SIZE.
LARGE_SIZE = 64 << 20
CHUNK_SIZE = 64 << 10
CONCURRENT = 1000
LARGEST_MESSAGE = 80 << 20


def stripped(pair):
    """Metadata, without what is around text."""
    key, value = pair
    return key, repr(value.strip() if isinstance(value, str) else value)


class Failed(Exception):
    """A case's expectation that does not hold."""


def check(is_true, why):
    """Fails the case unless `is_true`."""
    if not is_true:
        raise Failed(why)


class Caller:
    """Runs cases over one channel, which is one connection; every call carries `metadata`."""

    def __init__(self, channel, metadata):
        self.echo = echo_pb2_grpc.EchoStub(channel)
        self.health_stub = health_pb2_grpc.HealthStub(channel)
        self.reflection_stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self.metadata = metadata

    # === the four kinds of method ===

    async def unary(self):
        for size in (0, 1, 20_000):
            request = echo_pb2.Message(text="ü" * size, payload=os.urandom(size))
            reply = await self.echo.Unary(request, metadata=self.metadata)
            check(reply == request, f"a message of {size} bytes came back different")

    async def client_stream(self):
        for count in (0, 1, 20):
            await self.upload(count, 1000)

    async def server_stream(self):
        for count in (0, 1, 20):
            await self.download(count, 1000)

    async def bidi(self):
        """Sends each message only after the answer to the one before."""
        call = self.echo.Bidi(metadata=self.metadata)
        for number in range(50):
            await call.write(echo_pb2.Message(text=f"round {number}"))
            reply = await call.read()
            check(reply != grpc.aio.EOF, f"the stream ended in round {number}: {call}")
            check(reply.text == f"round {number}", f"round {number} came back as {reply.text!r}")
        await call.done_writing()
        check(await call.read() == grpc.aio.EOF, "expected the end of the stream")
        check(await call.code() == grpc.StatusCode.OK, f"ended with {await call.code()}")

    # === metadata and errors ===

    async def echo_metadata(self):
        sent = [
            ("x-echo-text", "first"),
            ("x-echo-text", "second, with comma"),
            ("x-echo-bin", bytes(range(256))),
            ("x-echo-empty-bin", b""),
            # Whoever passes it on may strip it.
            ("x-echo-padded", " padded "),
        ]
        call = self.echo.Unary(echo_pb2.Message(), metadata=[*self.metadata, *sent])
        await call
        for where, received in (
            ("header", await call.initial_metadata()),
            ("trailer", await call.trailing_metadata()),
        ):
            echoed = [pair for pair in received or () if pair[0].startswith("x-echo-")]
            check(
                sorted(map(stripped, echoed)) == sorted(map(stripped, sent)),
                f"sent {sent}, {where} has {echoed}",
            )
            texts = [value for key, value in echoed if key == "x-echo-text"]
            check(
                texts == ["first", "second, with comma"],
                f"{where} has them in another order: {texts}",
            )

    async def error_details(self):
        message = "not yet: 100 % of ü\nare missing"
        header = await self.fail(grpc.StatusCode.FAILED_PRECONDITION, message, header_first=True)
        check(header.get("x-header") == "sent", f"the header before the error is missing: {header}")

    async def trailers_only(self):
        header = await self.fail(grpc.StatusCode.NOT_FOUND, "nothing here", header_first=False)
        check(not header, f"it has become header and trailer: {header}")

    async def fail(self, code, message, header_first):
        """Asks for an error, checks its status and details, and returns the header before it."""
        request = echo_pb2.FailRequest(
            code=code.value[0], message=message, header_first=header_first
        )
        call = self.echo.Fail(request, metadata=self.metadata)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            check(
                (error.code(), error.details()) == (code, message),
                f"got {error.code()} {error.details()!r}",
            )
            trailer = dict(error.trailing_metadata())
            status = status_pb2.Status.FromString(trailer.get("grpc-status-details-bin", b""))
            check(
                (status.code, status.message) == (code.value[0], message),
                f"the details are {status}",
            )
            check_details(status.details)
            return dict(error.initial_metadata() or ())
        raise Failed("expected an error, got an answer")

    # === deadline and cancellation ===

    async def deadline(self):
        call_id = str(uuid.uuid4())
        call = self.echo.Wait(
            echo_pb2.WaitRequest(call_id=call_id), metadata=self.metadata, timeout=1
        )
        await call.read()
        check(
            await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED,
            f"ended with {await call.code()}",
        )
        await self.observe(call_id, echo_pb2.ObserveRequest.CANCELLED)

    async def cancel(self):
        await self.cancelled(silent=False)

    async def cancel_silent(self):
        """Cancels before the server has sent anything."""
        await self.cancelled(silent=True)

    async def cancelled(self, silent):
        call_id = str(uuid.uuid4())
        call = self.echo.Wait(
            echo_pb2.WaitRequest(call_id=call_id, silent=silent), metadata=self.metadata
        )
        await self.observe(call_id, echo_pb2.ObserveRequest.STARTED)
        if not silent:
            await call.read()
        call.cancel()
        check(await call.code() == grpc.StatusCode.CANCELLED, f"ended with {await call.code()}")
        await self.observe(call_id, echo_pb2.ObserveRequest.CANCELLED)

    async def observe(self, call_id, state):
        """Waits until the server has seen a call start or end."""
        try:
            request = echo_pb2.ObserveRequest(call_id=call_id, state=state)
            await self.echo.Observe(request, metadata=self.metadata, timeout=5)
        except grpc.aio.AioRpcError as error:
            name = echo_pb2.ObserveRequest.State.Name(state)
            raise Failed(f"the server has not seen {name}: {describe(error)}") from error

    # === 64 MiB each way ===

    async def large_unary(self):
        request = echo_pb2.Message(payload=os.urandom(LARGE_SIZE))
        reply = await self.echo.Unary(request, metadata=self.metadata)
        same = hashlib.sha256(reply.payload).digest() == hashlib.sha256(request.payload).digest()
        check(same, f"{len(reply.payload)} bytes came back different")

    async def large_upload(self):
        await self.upload(LARGE_SIZE // CHUNK_SIZE, CHUNK_SIZE)

    async def large_download(self):
        await self.download(LARGE_SIZE // CHUNK_SIZE, CHUNK_SIZE)

    async def large_bidi(self):
        """Sends and receives at the same time, neither waiting for the other."""
        sent, received = hashlib.sha256(), hashlib.sha256()

        async def chunks():
            for _ in range(LARGE_SIZE // CHUNK_SIZE):
                payload = os.urandom(CHUNK_SIZE)
                sent.update(payload)
                yield echo_pb2.Message(payload=payload)

        async for message in self.echo.Bidi(chunks(), metadata=self.metadata):
            received.update(message.payload)
        check(sent.digest() == received.digest(), "the stream came back different")

    async def upload(self, count, size):
        """Streams random payloads and compares the server's digest with its own."""
        digest = hashlib.sha256()

        async def messages():
            for _ in range(count):
                payload = os.urandom(size)
                digest.update(payload)
                yield echo_pb2.Message(payload=payload)

        summary = await self.echo.ClientStream(messages(), metadata=self.metadata)
        want = echo_pb2.Summary(messages=count, bytes=count * size, sha256=digest.digest())
        check(summary == want, f"sent {want}, the server got {summary}")

    async def download(self, count, size):
        """Reads random payloads and compares the server's digest with its own."""
        digest = hashlib.sha256()
        request = echo_pb2.ServerStreamRequest(messages=count, size=size)
        call = self.echo.ServerStream(request, metadata=self.metadata)
        async for message in call:
            digest.update(message.payload)
        trailer = dict(await call.trailing_metadata())
        check(
            trailer.get("x-sha256-bin") == digest.digest(),
            "the digest of what came is not the trailer's",
        )

    # === many calls, and what every server has ===

    async def concurrent(self):
        """Has every call in flight at once: the server answers none before it has all."""
        request = echo_pb2.GatherRequest(id=str(uuid.uuid4()), size=CONCURRENT)
        calls = [self.echo.Gather(request, metadata=self.metadata) for _ in range(CONCURRENT)]
        arrivals = {reply.arrival for reply in await asyncio.gather(*calls)}
        check(
            len(arrivals) == CONCURRENT,
            f"{CONCURRENT} calls got only {len(arrivals)} different answers",
        )

    async def reflection(self):
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = self.reflection_stub.ServerReflectionInfo(metadata=self.metadata)
        await call.write(request)
        reply = await call.read()
        check(reply != grpc.aio.EOF, f"no answer: {call}")
        names = [service.name for service in reply.list_services_response.service]
        for want in ("e2e.v1.Echo", "grpc.health.v1.Health"):
            check(want in names, f"{want} is not among {names}")
        await call.done_writing()
        check(await call.read() == grpc.aio.EOF, "expected the end of the stream")

    async def health(self):
        serving = health_pb2.HealthCheckResponse.SERVING
        for service in ("", "e2e.v1.Echo"):
            request = health_pb2.HealthCheckRequest(service=service)
            reply = await self.health_stub.Check(request, metadata=self.metadata)
            check(reply.status == serving, f"{service!r} is {reply.status}")
        try:
            request = health_pb2.HealthCheckRequest(service="e2e.v1.Missing")
            await self.health_stub.Check(request, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            check(error.code() == grpc.StatusCode.NOT_FOUND, describe(error))
        else:
            raise Failed("expected NOT_FOUND for a service that is not there")


CASES = {
    "unary": Caller.unary,
    "client-stream": Caller.client_stream,
    "server-stream": Caller.server_stream,
    "bidi": Caller.bidi,
    "metadata": Caller.echo_metadata,
    "error-details": Caller.error_details,
    "trailers-only": Caller.trailers_only,
    "deadline": Caller.deadline,
    "cancel": Caller.cancel,
    "cancel-silent": Caller.cancel_silent,
    "large-unary": Caller.large_unary,
    "large-upload": Caller.large_upload,
    "large-download": Caller.large_download,
    "large-bidi": Caller.large_bidi,
    "concurrent-1000": Caller.concurrent,
    "reflection": Caller.reflection,
    "health": Caller.health,
}


def check_details(details):
    """Checks the two details that Fail sends."""
    check(len(details) == 2, f"expected two details, got {details}")
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    unpacked = details[0].Unpack(info) and details[1].Unpack(bad)
    check(
        unpacked and info.reason == "E2E" and info.metadata["peer"] == "any",
        f"came back different: {details}",
    )
    check(
        [violation.field for violation in bad.field_violations] == ["code"],
        f"came back different: {details}",
    )


def describe(error):
    """An error in one line."""
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}"


async def run_case(caller, name):
    """Runs one case and returns its outcome."""
    began, why = time.monotonic(), None
    try:
        await asyncio.wait_for(CASES[name](caller), CASE_LIMIT_S)
    except Exception as error:  # Whatever it is, it is this case's failure, not the next one's.
        why = str(error) if isinstance(error, Failed) else describe(error)
        why = " ".join(why.split())
    outcome = {"case": name, "ok": why is None, "ms": round((time.monotonic() - began) * 1000)}
    return outcome if why is None else {**outcome, "why": why}


async def run(args):
    """Runs the cases named and prints one JSON line for each."""
    limits = [
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ]
    if args.tls_ca_file:
        with open(args.tls_ca_file, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        channel = grpc.aio.secure_channel(args.target, credentials, options=limits)
    else:
        channel = grpc.aio.insecure_channel(args.target, options=limits)
    async with channel:
        caller = Caller(channel, [("name", args.name)] if args.name else [])
        for name in args.cases:
            print(json.dumps(await run_case(caller, name)), flush=True)


def main():
    """Runs cases against one target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--name", help="the hub's `name` metadata for every call")
    parser.add_argument("--tls-ca-file", help="speak TLS and trust this file")
    parser.add_argument("cases", nargs="+", choices=CASES)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
